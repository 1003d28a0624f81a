"""Twelve routes as portable tests."""

import pytest

from benchmarks.session.models import NAMES, model


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.portable(targets=["onnx", "torchscript", "torch_export"])
def test_model(modelport, name):
    modelport(*model(name))
