"""A failure that a search has found shows again from its printed line alone, in a hundred new
processes.
"""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

#: One fault in a dim, one in values that are drawn.
MODELS = """
import torch

class Alone(torch.nn.Module):
    def forward(self, x):
        return x * 2 if x.shape[0] > 1 else x - 1

class Mixed(torch.nn.Module):
    def forward(self, x):
        return x * 2 if x.min() > -2 else x - 1

def sample():
    return torch.arange(12.0).reshape(4, 3) / 12

def alone():
    return Alone().eval(), sample()

def mixed():
    return Mixed().eval(), sample() - 0.5
"""


def said(command: str, folder: Path, number: int = 0) -> tuple[int, str, str]:
    """Status and output of a command in a new process with hashes and threads of its own, and its
    first line.
    """
    environment = {
        **os.environ,
        "PYTHONHASHSEED": str(number),
        "OMP_NUM_THREADS": str(1 + number % 2),
    }
    run = [sys.executable, "-m", "pytest_modelport.cli", *shlex.split(command)[1:]]
    done = subprocess.run(
        run, cwd=folder, env=environment, capture_output=True, text=True, timeout=300
    )
    return done.returncode, done.stdout, done.stdout.partition("\n")[0]


@pytest.mark.full
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("model", ["alone", "mixed"])
def test_from_its_line_alone(model, tmp_path):
    (tmp_path / "models_to_replay.py").write_text(MODELS)
    status, output, fact = said(
        f"modelport verify models_to_replay:{model} --targets torchscript --dynamic", tmp_path
    )
    assert status == 1, output
    command = re.search(r"modelport replay .*", output)
    assert command, output
    times = 100 if model == "mixed" else 10
    with ThreadPoolExecutor(2) as pool:
        again = list(pool.map(lambda number: said(command[0], tmp_path, number), range(times)))
    assert [one[0] for one in again] == [1] * times
    assert {one[2] for one in again} == {fact}
