"""Every weight whose size is below a threshold becomes zero."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_modelport.backends.transform_work import ModuleWork
from pytest_modelport.backends.transforms._pruning import pruned

if TYPE_CHECKING:
    from torch import nn

REQUIRES = {"torch": "torch"}
EXTRA = ""
ON = "subject"
FLOOR = "pruned"
TRAINS = True
OPTIONS = {"threshold": float, "permanent": bool}


def apply(work: ModuleWork) -> nn.Module:
    """`threshold` (0.01): weights of a smaller size become zero. `permanent` (true): zeros in
    the weights instead of masks beside them.
    """
    from torch.nn.utils.prune import custom_from_mask

    threshold = work.options.get("threshold", 0.01)

    def prune(found: list[tuple[nn.Module, str]]) -> None:
        for part, name in found:
            custom_from_mask(part, name, getattr(part, name).detach().abs() >= threshold)

    return pruned(work, prune)
