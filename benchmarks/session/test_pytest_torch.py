"""The same twelve with pytest-torch's parity helpers."""

import pytest
from pytest_torch.parity import assert_export_parity, assert_onnx_parity, assert_torchscript_parity

from benchmarks.session.models import NAMES, model


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    "check", [assert_onnx_parity, assert_torchscript_parity, assert_export_parity]
)
def test_model(name, check):
    check(*model(name))
