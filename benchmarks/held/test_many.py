"""Many portable tests, each of a model of its own; what the run holds is written down after each."""

from __future__ import annotations

import json
import os
from pathlib import Path

import psutil
import pytest
import torch
from torch import nn

TARGETS = ["onnx", "onnx:reference", "torchscript", "torch_export"]
TESTS = int(os.environ["HELD_TESTS"])


@pytest.mark.portable(targets=TARGETS)
@pytest.mark.parametrize("number", range(TESTS))
def test_model(modelport, number, tmp_path_factory):
    torch.manual_seed(number)
    model = nn.Sequential(
        nn.Linear(256, 512), nn.ReLU(), nn.Linear(512, 128), nn.Softmax(-1)
    ).eval()
    modelport(model, torch.randn(4, 256))
    if modelport.route.target == TARGETS[-1]:
        _write_down(number, tmp_path_factory.getbasetemp())


def _write_down(number: int, base: Path) -> None:
    own = psutil.Process()
    rooms = sum(child.memory_info().rss for child in own.children(recursive=True))
    scratch = sum(file.stat().st_size for file in base.rglob("*") if file.is_file())
    row = {
        "test": number,
        "descriptors": own.num_fds(),
        "session_mb": own.memory_info().rss / 2**20,
        "rooms_mb": rooms / 2**20,
        "scratch_mb": scratch / 2**20,
    }
    with Path(os.environ["HELD_ROWS"]).open("a") as file:
        print(json.dumps(row), file=file)
