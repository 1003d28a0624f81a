"""bfloat16: parameters, buffers and floating point inputs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_modelport.backends.transform_work import ModuleWork

if TYPE_CHECKING:
    from torch import nn

REQUIRES = {"torch": "torch"}
EXTRA = ""
ON = "subject"
FLOOR = "bf16"
INPUTS = "bfloat16"


def apply(work: ModuleWork) -> nn.Module:
    """The module in bfloat16."""
    return work.module.bfloat16()
