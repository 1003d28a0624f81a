"""torchao: int8 weights of linear layers and int8 activations, whose ranges are found at every call."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_modelport import torchaoquantize
from pytest_modelport.work import ModuleWork

if TYPE_CHECKING:
    from torch import nn

REQUIRES = torchaoquantize.REQUIRES
EXTRA = "torchao"
ON = "subject"
PRICE = "int8_dynamic"
STEPS = True
IMPORTS = ("torchao",)


def apply(work: ModuleWork) -> nn.Module:
    """Every nn.Linear."""
    from torchao.quantization import Int8DynamicActivationInt8WeightConfig

    return torchaoquantize.quantized(work, Int8DynamicActivationInt8WeightConfig())
