"""Unstructured pruning layer by layer: the smallest weights of each become zero (torch.nn.utils.prune.l1_unstructured)."""

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
OPTIONS = pruning.OPTIONS


def apply(work: ModuleWork) -> nn.Module:
    """amount: the share of each layer (0.2)."""
    from torch.nn.utils.prune import l1_unstructured

    amount = pruning.amount_of(work, 0.2)

    def prune(found: list[tuple[nn.Module, str]]) -> None:
        for part, name in found:
            l1_unstructured(part, name, amount)

    return pruning.pruned(work, prune)
