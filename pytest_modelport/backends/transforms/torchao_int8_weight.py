"""torchao: int8 weights of linear layers, one scale per output channel; computed in float."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_modelport.backends.transform_work import ModuleWork
from pytest_modelport.backends.transforms import _torchao

if TYPE_CHECKING:
    from torch import nn

REQUIRES = _torchao.REQUIRES
EXTRA = "torchao"
ON = "subject"
FLOOR = "int8_weight"
IMPORTS = ("torchao",)


def apply(work: ModuleWork) -> nn.Module:
    """Every nn.Linear."""
    from torchao.quantization import Int8WeightOnlyConfig

    return _torchao.quantized(work, Int8WeightOnlyConfig())
