"""Semi-structured pruning: of every four neighbours along a row the two smallest become zero, as
GPUs' sparse cores want it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pytest_modelport.backends.transform_work import ModuleWork
from pytest_modelport.backends.transforms._pruning import pruned
from pytest_modelport.core.errors import CannotTransform

if TYPE_CHECKING:
    from torch import nn

REQUIRES = {"torch": "torch"}
EXTRA = ""
ON = "subject"
FLOOR = "pruned"
TRAINS = True
OPTIONS = {"permanent": bool}
_GROUP, _KEPT = 4, 2


def apply(work: ModuleWork) -> nn.Module:
    """`permanent` (true): zeros in the weights instead of masks beside them. Layers whose rows
    are not a multiple of four long are left as they are.
    """
    from torch.nn.utils.prune import custom_from_mask

    def prune(found: list[tuple[nn.Module, str]]) -> None:
        fitting = [
            (part, name) for part, name in found if getattr(part, name)[0].numel() % _GROUP == 0
        ]
        if not fitting:
            raise CannotTransform(
                "no layer has rows of a multiple of four weights: nothing to prune"
            )
        for part, name in fitting:
            custom_from_mask(part, name, mask_of(getattr(part, name).detach()))

    return pruned(work, prune)


def mask_of(weight: Any) -> Any:
    """1 for the two largest of each four along the flattened row, else 0."""
    import torch

    groups = weight.abs().reshape(-1, _GROUP)
    mask = torch.zeros_like(groups).scatter_(1, groups.topk(_KEPT, dim=1).indices, 1)
    return mask.reshape(weight.shape)
