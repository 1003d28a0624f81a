"""torchao: float8 (e4m3) weights of linear layers; computed in float."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_modelport.backends.transform_work import ModuleWork
from pytest_modelport.backends.transforms import _torchao

if TYPE_CHECKING:
    from torch import nn

REQUIRES = _torchao.REQUIRES
EXTRA = "torchao"
ON = "subject"
FLOOR = "fp8_weight"
IMPORTS = ("torchao",)


def apply(work: ModuleWork) -> nn.Module:
    """Every nn.Linear."""
    from torchao.quantization import Float8WeightOnlyConfig

    return _torchao.quantized(work, Float8WeightOnlyConfig())
