"""A session is closed, too."""

from __future__ import annotations

import torch
from torch import nn

from pytest_modelport.cleanroom.room import Room, RoomEnded
from pytest_modelport.core.verdict import Outcome, Stage
from pytest_modelport.isolation.jobs import Crashed


def test_a_port_that_dies_of_being_put_away_has_crashed(prove, monkeypatch):
    request = Room.request

    def dying(self, timeout, **message):
        reply = request(self, timeout, **message)
        if message["op"] == "close":
            raise RoomEnded(Crashed("SIGSEGV", ""))
        return reply

    monkeypatch.setattr(Room, "request", dying)
    [verdict] = prove(["torchscript"], nn.ReLU(), torch.randn(3), checks=["parity"]).verdicts
    assert (verdict.outcome, verdict.stage) == (Outcome.CRASHED, Stage.RUN)
    assert verdict.reason == "SIGSEGV in closing the exported model's session"
