"""PyTorch 2 export quantization (torchao): int8, trained with the rounding in the loop by the user's finetune."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_modelport import pt2equantize
from pytest_modelport.work import ModuleWork

if TYPE_CHECKING:
    from torch import nn

REQUIRES, IMPORTS = pt2equantize.REQUIRES, pt2equantize.IMPORTS
EXTRA = "torchao"
ON = "subject"
PRICE = "int8_static"
TRAINS = True
STEPS = True
OPTIONS = {"quantizer": pt2equantize.QUANTIZERS}


def apply(work: ModuleWork) -> nn.Module:
    """Quantizer (x86): xnnpack for ExecuTorch."""
    return pt2equantize.quantized(work, qat=True)
