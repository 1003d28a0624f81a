"""torchao: int8 weights of linear layers, one scale per output channel; computed in float."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_modelport import torchaoquantize
from pytest_modelport.work import ModuleWork

if TYPE_CHECKING:
    from torch import nn

REQUIRES = torchaoquantize.REQUIRES
EXTRA = "torchao"
ON = "subject"
PRICE = "int8_weight"
IMPORTS = ("torchao",)


def apply(work: ModuleWork) -> nn.Module:
    """Every nn.Linear."""
    from torchao.quantization import Int8WeightOnlyConfig

    return torchaoquantize.quantized(work, Int8WeightOnlyConfig())
