"""The clean room hit by faults at random moments: the session goes on, and nothing is left behind."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import threading

import pytest
import torch
from torch import nn

from pytest_modelport.cleanroom.room import RoomEnded
from pytest_modelport.cleanroom.workspace import Workspace
from pytest_modelport.core.verdict import worst
from pytest_modelport.engine import pipeline
from pytest_modelport.engine.build_case import build_case
from pytest_modelport.engine.resolve import routes_of
from pytest_modelport.request.options import Options
from tests.processes import children, gone
from tests.scripted import answer, artifact

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
        case = build_case(
            model, torch.randn(2, 4), options=Options(samples=[torch.randn(2, 4)] * 20, timeout=5)
        )
        assert pipeline.prove(workspace, case, route, ["parity"])[
            0
        ].passed  # the subject is judged once, undisturbed
        for _ in range(MOMENTS):
            timer = threading.Timer(
                chance.uniform(0, 0.15), strike, (workspace.room(1), chance.choice(SIGNALS), seen)
            )
            timer.start()
            verdict = worst(pipeline.prove(workspace, case, route, ["parity"]))
            timer.join()
            outcomes.append(str(verdict.outcome))
            assert verdict.outcome in ("passed", "crashed", "timeout"), verdict
        assert pipeline.prove(workspace, case, route, ["parity"])[0].passed
        workspace.room(1).close()
        assert list((tmp_path / "work").glob("cleanroom-*/wire-*")) == []
    assert len(set(outcomes)) > 1, outcomes
    assert all(gone(pid) for pid in seen)
    assert set(children(os.getpid())) <= before


#: What a thread of the port's own process does after a random time, while the process works,
#: replies or waits.
WITHIN = {
    "fills its memory": """
    import resource
    used = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + (1 << 26), -1))
    kept = []
    while True:
        try:
            kept.append(bytearray(1 << 16))
        except MemoryError:
            time.sleep(0.01)
""",
    "closes its pipes": """
    os.closerange(3, 64)
""",
    "writes to its pipes": """
    for number in range(3, 64):
        try:
            os.write(number, b"warning: not a message")
        except OSError:
            pass
""",
    "writes to its standard output": """
    for _ in range(1000):
        os.write(1, b"not a message" * 1000)
""",
}
LATER = """
import os, threading, time
import numpy as np
def fault():
    time.sleep({seconds})
{body}
threading.Thread(target=fault, daemon=True).start()
started = time.monotonic()
while time.monotonic() - started < 0.05:
    np.ones(100_000).sum()
"""


@pytest.mark.full
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("fault", WITHIN)
def test_whatever_a_port_does_to_its_own_process_the_session_finishes(room, tmp_path, fault):
    chance, endings = random.Random(0), []
    for moment in range(MOMENTS // len(WITHIN)):
        folder = tmp_path / str(moment)
        folder.mkdir()
        code = LATER.format(seconds=chance.uniform(0, 0.15), body=WITHIN[fault])
        try:
            for _ in range(3):
                answer(room, artifact(folder, code), timeout=5)
            endings.append("answers")
        except RoomEnded as ended:
            endings.append(type(ended.ending).__name__)
        room.close()
        assert answer(room, artifact(folder, "")).outputs
        room.close()
    assert list(tmp_path.glob("wire-*")) == []
    assert (set(endings) == {"answers"}) == ("standard" in fault), endings
