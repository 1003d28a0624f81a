"""torchao: int8 weights of linear layers and int8 activations, whose ranges are found at every
call.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_modelport.backends.transform_work import ModuleWork
from pytest_modelport.backends.transforms import _torchao

if TYPE_CHECKING:
    from torch import nn

REQUIRES = _torchao.REQUIRES
EXTRA = "torchao"
ON = "subject"
FLOOR = "int8_dynamic"
STEPS = True
IMPORTS = ("torchao",)


def apply(work: ModuleWork) -> nn.Module:
    """Every nn.Linear."""
    from torchao.quantization import Int8DynamicActivationInt8WeightConfig

    return _torchao.quantized(work, Int8DynamicActivationInt8WeightConfig())
