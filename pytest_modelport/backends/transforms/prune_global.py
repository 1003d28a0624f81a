"""Unstructured pruning over all layers together: the smallest weights of the model become zero,
wherever they are.
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
    """`amount` (0.2): the share of all weights. `permanent` (true): zeros in the weights
    instead of masks beside them.
    """
    from torch.nn.utils.prune import L1Unstructured, global_unstructured

    amount = _pruning.amount_of(work, 0.2)
    return _pruning.pruned(
        work, lambda found: global_unstructured(found, L1Unstructured, amount=amount)
    )
