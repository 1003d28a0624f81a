"""Structured masks: whole output channels of each layer become zero, those of the smallest norm. Shapes stay."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_modelport import pruning
from pytest_modelport.work import ModuleWork

if TYPE_CHECKING:
    from torch import nn

REQUIRES = {"torch": "torch"}
EXTRA = ""
ON = "subject"
PRICE = "pruned"
TRAINS = True
OPTIONS = {**pruning.OPTIONS, "n": int}


def apply(work: ModuleWork) -> nn.Module:
    """amount: the share of each layer's channels (0.2). n: of the norm (2)."""
    from torch.nn.utils.prune import ln_structured

    amount, norm = pruning.amount_of(work, 0.2), work.options.get("n", 2)

    def prune(found: list[tuple[nn.Module, str]]) -> None:
        for part, name in found:
            ln_structured(part, name, amount, n=norm, dim=0)

    return pruning.pruned(work, prune)
