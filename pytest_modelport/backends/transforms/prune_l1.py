"""Unstructured pruning layer by layer: the smallest weights of each become zero
(torch.nn.utils.prune.l1_unstructured).
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
OPTIONS = _pruning.OPTIONS


def apply(work: ModuleWork) -> nn.Module:
    """`amount` (0.2): the share of each layer. `permanent` (true): zeros in the weights instead
    of masks beside them.
    """
    from torch.nn.utils.prune import l1_unstructured

    amount = _pruning.amount_of(work, 0.2)

    def prune(found: list[tuple[nn.Module, str]]) -> None:
        for part, name in found:
            l1_unstructured(part, name, amount)

    return _pruning.pruned(work, prune)
