"""The clean room killed, stopped and aborted at random moments: the session goes on, and nothing is left behind."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import threading

import pytest
import torch
from torch import nn

from pytest_modelport import pipeline
from pytest_modelport.request import routes_of
from pytest_modelport.verdict import worst
from pytest_modelport.workspace import Workspace
from tests.processes import children, gone

MOMENTS = 200
SIGNALS = (signal.SIGKILL, signal.SIGSTOP, signal.SIGABRT, signal.SIGSEGV, signal.SIGTERM)


def strike(room, number, seen):
    """Send a signal to the room's process, whatever it is doing."""
    process = room._process
    if process is not None:
        seen.append(process.pid)
        with contextlib.suppress(ProcessLookupError):
            os.kill(process.pid, number)


@pytest.mark.full
@pytest.mark.timeout(3600)
def test_whatever_happens_to_the_clean_room_the_session_finishes(tmp_path):
    chance, before = random.Random(0), set(children(os.getpid()))
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2)).eval()
    route, seen, outcomes = routes_of(["torchscript"], ["none"], ["cpu"])[0], [], []
    with Workspace(tmp_path / "work") as workspace:
        case = pipeline.case_of(model, torch.randn(2, 4), samples=[torch.randn(2, 4)] * 20, timeout=5)
        assert pipeline.prove(workspace, case, route, ["parity"])[0].passed  # the subject is judged once, undisturbed
        for _ in range(MOMENTS):
            timer = threading.Timer(chance.uniform(0, 0.15), strike, (workspace.room(1), chance.choice(SIGNALS), seen))
            timer.start()
            verdict = worst(pipeline.prove(workspace, case, route, ["parity"]))
            timer.join()
            outcomes.append(str(verdict.outcome))
            assert verdict.outcome in ("passed", "crashed", "timeout"), verdict
        assert pipeline.prove(workspace, case, route, ["parity"])[0].passed
        assert list((tmp_path / "work").glob("cleanroom-*/wire-*")) == []
    assert len(set(outcomes)) > 1, outcomes
    assert all(gone(pid) for pid in seen)
    assert set(children(os.getpid())) <= before
