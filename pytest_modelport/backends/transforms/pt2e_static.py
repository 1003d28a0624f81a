"""PyTorch 2 export quantization (torchao): int8 weights and activations, ranges of activations
measured on calibration data.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_modelport.backends.transform_work import ModuleWork
from pytest_modelport.backends.transforms import _pt2e

if TYPE_CHECKING:
    from torch import nn

REQUIRES, IMPORTS = _pt2e.REQUIRES, _pt2e.IMPORTS
EXTRA = "torchao"
ON = "subject"
FLOOR = "int8_static"
STEPS = True
OPTIONS = {"quantizer": _pt2e.QUANTIZERS}


def apply(work: ModuleWork) -> nn.Module:
    """`quantizer` (x86): `x86`, or `xnnpack` for ExecuTorch."""
    return _pt2e.quantized(work)
