"""Structured masks: whole output channels of each layer become zero, those of the smallest norm.
Shapes stay.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_modelport.backends.transform_work import ModuleWork
from pytest_modelport.backends.transforms import _pruning

if TYPE_CHECKING:
    from torch import nn

REQUIRES = {"torch": "torch"}
EXTRA = ""
ON = "subject"
FLOOR = "pruned"
TRAINS = True
OPTIONS = {**_pruning.OPTIONS, "n": int}


def apply(work: ModuleWork) -> nn.Module:
    """`amount` (0.2): the share of each layer's channels. `n` (2): which norm. `permanent`
    (true): zeros in the weights instead of masks beside them.
    """
    from torch.nn.utils.prune import ln_structured

    amount, norm = _pruning.amount_of(work, 0.2), work.options.get("n", 2)

    def prune(found: list[tuple[nn.Module, str]]) -> None:
        for part, name in found:
            ln_structured(part, name, amount, n=norm, dim=0)

    return _pruning.pruned(work, prune)
