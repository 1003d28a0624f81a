"""Every weight whose size is below a threshold becomes zero."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_modelport.pruning import pruned
from pytest_modelport.work import ModuleWork

if TYPE_CHECKING:
    from torch import nn

REQUIRES = {"torch": "torch"}
EXTRA = ""
ON = "subject"
PRICE = "pruned"
TRAINS = True
OPTIONS = {"threshold": float, "permanent": bool}


def apply(work: ModuleWork) -> nn.Module:
    """threshold: what a weight must reach to stay (0.01)."""
    from torch.nn.utils.prune import custom_from_mask

    threshold = work.options.get("threshold", 0.01)

    def prune(found: list[tuple[nn.Module, str]]) -> None:
        for part, name in found:
            custom_from_mask(part, name, getattr(part, name).detach().abs() >= threshold)

    return pruned(work, prune)
