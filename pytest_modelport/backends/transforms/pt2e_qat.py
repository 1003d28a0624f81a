"""PyTorch 2 export quantization (torchao): int8, trained with the rounding in the loop by the
user's finetune.
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
TRAINS = True
STEPS = True
OPTIONS = {"quantizer": _pt2e.QUANTIZERS}


def apply(work: ModuleWork) -> nn.Module:
    """`quantizer` (x86): `x86`, or `xnnpack` for ExecuTorch."""
    return _pt2e.quantized(work, qat=True)
