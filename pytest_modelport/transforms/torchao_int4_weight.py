"""torchao: four-bit weights of linear layers in groups that share a scale; computed in float."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_modelport import torchaoquantize
from pytest_modelport.work import ModuleWork

if TYPE_CHECKING:
    from torch import nn

REQUIRES = torchaoquantize.REQUIRES
EXTRA = "torchao"
ON = "subject"
PRICE = "int4_weight"
IMPORTS = ("torchao",)
OPTIONS = {"group": int}


def apply(work: ModuleWork) -> nn.Module:
    """Group (32): weights that share a scale; layers whose inputs are no multiple of it stay float."""
    import torch
    from torchao.quantization import IntxWeightOnlyConfig
    from torchao.quantization.granularity import PerGroup

    group = work.options.get("group", 32)
    config = IntxWeightOnlyConfig(weight_dtype=torch.int4, granularity=PerGroup(group))  # type: ignore[attr-defined]
    return torchaoquantize.quantized(work, config, group)
