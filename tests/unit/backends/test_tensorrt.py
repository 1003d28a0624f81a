"""What can be known of TensorRT's routes without a GPU: which sizes an engine is built for, and who
is turned away.
"""

from __future__ import annotations

import pytest
import torch
from torch import nn

from pytest_modelport import Outcome, verify
from pytest_modelport.backends.runtimes.tensorrt import profile
from pytest_modelport.core.artifact import Manifest, TensorSpec


def manifest(**ranges):
    value = TensorSpec("x", "float32", ("batch", 3, "side"))
    return Manifest("onnx", "onnx", "model.onnx", "named", (value,), (), ranges=ranges)


def test_an_engine_is_built_for_what_the_artifact_promises():
    known = manifest(batch=(1, 64), side=(8, 224))
    assert profile(known, "x", (-1, 3, -1)) == ((1, 3, 8), (64, 3, 224))
    assert profile(known, "x", (2, 3, -1)) == ((2, 3, 8), (2, 3, 224))


def test_a_dim_without_an_upper_bound_says_how_to_give_one():
    with pytest.raises(
        RuntimeError, match=r"no upper bound for dim 2 of x \(side\): .* declare one"
    ):
        profile(manifest(batch=(1, 64), side=(8, None)), "x", (-1, 3, -1))
    with pytest.raises(RuntimeError, match="no upper bound for dim 0 of y"):
        profile(manifest(), "y", (-1,))


@pytest.mark.parametrize("target", ["onnx:tensorrt", "onnx:onnxruntime_tensorrt"])
def test_a_route_of_theirs_is_skipped_with_what_is_missing(target):
    report = verify(nn.Linear(3, 2), torch.randn(1, 3), targets=[target], devices=["cpu", "cuda"])
    here, there = report.verdicts
    assert here.outcome is Outcome.SKIPPED
    if target == "onnx:tensorrt":
        assert (
            "not installed: tensorrt>=10.0; pip install 'pytest-modelport[tensorrt]'" in here.reason
        )
    else:
        assert here.reason == "onnxruntime_tensorrt does not run on cpu, only on cuda"
        assert torch.cuda.is_available() or "no cuda device" in there.reason
