"""torchao: four-bit weights of linear layers in groups that share a scale; computed in float."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_modelport.backends.transform_work import ModuleWork
from pytest_modelport.backends.transforms import _torchao

if TYPE_CHECKING:
    from torch import nn

REQUIRES = _torchao.REQUIRES
EXTRA = "torchao"
ON = "subject"
FLOOR = "int4_weight"
IMPORTS = ("torchao",)
OPTIONS = {"group": int}


def apply(work: ModuleWork) -> nn.Module:
    """`group` (32): how many weights share a scale. Layers whose number of inputs is not a
    multiple of it stay float.
    """
    import torch
    from torchao.quantization import IntxWeightOnlyConfig
    from torchao.quantization.granularity import PerGroup

    group = work.options.get("group", 32)
    config = IntxWeightOnlyConfig(weight_dtype=torch.int4, granularity=PerGroup(group))  # type: ignore[attr-defined]
    return _torchao.quantized(work, config, group)
