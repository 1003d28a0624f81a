"""A release that is interrupted anywhere is the complete one or none."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import time

import pytest

from pytest_modelport.reports import release

#: Puts forty artifacts into a release and completes it, over and over again in new folders.
PROGRAM = """
import sys
from pathlib import Path
from pytest_modelport import Outcome, Report, Route, Stage, Verdict
from pytest_modelport.core import artifact
from pytest_modelport.reports import release

scratch, number = Path(sys.argv[1]), 0
made = scratch / "made"
made.mkdir()
(made / "model.bin").write_bytes(bytes(200_000))
routes = [Route("onnx", transforms=(f"t{n}",)) for n in range(40)]
opened = {route.id: {} for route in routes}
artifact.seal(made, artifact.Manifest("onnx", "onnx", "model.bin", "named", (), (), sessions=opened))
print("ready", flush=True)
while True:
    number += 1
    folder = scratch / f"release-{number}"
    for route in routes:
        release.add(release.home(release.partial(folder), "test.py", "test"), route, made, {"class": "Net"})
    verdicts = [Verdict(route, "parity", Stage.COMPARE, Outcome.PASSED, "", subject="test", suite="test.py") for route in routes]
    release.finish(folder, Report(tuple(verdicts)))
"""


@pytest.mark.full
def test_a_hundred_kills_leave_whole_releases_or_none(tmp_path):
    draw, whole = random.Random(0), 0
    for number in range(100):
        scratch = tmp_path / str(number)
        scratch.mkdir()
        child = subprocess.Popen(
            [sys.executable, "-c", PROGRAM, str(scratch)], stdout=subprocess.PIPE, text=True
        )
        assert child.stdout.readline() == "ready\n"
        time.sleep(draw.uniform(0, 0.6))
        child.send_signal(signal.SIGKILL)
        child.wait()
        child.stdout.close()
        for folder in scratch.glob("release-*"):
            assert list(release.problems(folder)) == [], folder
            assert len(release.read(folder).files) == 80
            whole += 1
    assert (
        whole > 20
    )  # some were finished before the kill, and every run was killed at some moment of another one
