"""Half precision: parameters, buffers and floating point inputs in float16."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_modelport.backends.transform_work import ModuleWork

if TYPE_CHECKING:
    from torch import nn

REQUIRES = {"torch": "torch"}
EXTRA = ""
ON = "subject"
FLOOR = "fp16"
INPUTS = "float16"


def apply(work: ModuleWork) -> nn.Module:
    """The module in float16."""
    return work.module.half()
