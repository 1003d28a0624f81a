"""Unstructured pruning over all layers together: the smallest weights of the model become zero, wherever they are."""

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
    """amount: the share of all weights (0.2)."""
    from torch.nn.utils.prune import L1Unstructured, global_unstructured

    amount = pruning.amount_of(work, 0.2)
    return pruning.pruned(work, lambda found: global_unstructured(found, L1Unstructured, amount=amount))
