"""Convolution and batch normalisation as one convolution (torch.fx.experimental.optimization.fuse):
exact but for rounding.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_modelport.backends.transform_work import ModuleWork
from pytest_modelport.core.errors import CannotTransform

if TYPE_CHECKING:
    from torch import nn

REQUIRES = {"torch": "torch"}
EXTRA = ""
ON = "subject"
FLOOR = "exact"


def apply(work: ModuleWork) -> nn.Module:
    """The module's symbolic trace with the pairs fused; in eval mode only. Raises `CannotTransform`
    where there is none.
    """
    from torch.fx.experimental.optimization import fuse
    from torch.nn.modules.batchnorm import _BatchNorm

    if work.module.training:
        raise CannotTransform("only a model in eval mode can be fused: call .eval() on it")
    before = _count(work.module, _BatchNorm)
    fused: nn.Module = fuse(work.module)
    if _count(fused, _BatchNorm) >= before:
        raise CannotTransform(
            f"nothing to fuse: none of {before} batch normalisations follows a convolution"
        )
    return fused


def _count(module: nn.Module, kind: type) -> int:
    return sum(isinstance(part, kind) for part in module.modules())
