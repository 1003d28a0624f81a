"""What the transforms that prune share: which weights, masks made permanent, what was reached."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from pytest_modelport.backends.transform_work import ModuleWork
from pytest_modelport.core.errors import CannotTransform

if TYPE_CHECKING:
    from torch import nn

#: permanent: zeros in the weights instead of a mask beside them. Files keep both otherwise, and are
#: twice as large.
OPTIONS = {"amount": float, "permanent": bool}


def pruned(work: ModuleWork, prune: Callable[[list[tuple[nn.Module, str]]], None]) -> nn.Module:
    """Prune, train again where the user gave `finetune`, and make the masks permanent unless they
    are to be kept.
    """
    from torch.nn.utils import prune as torch_prune

    from pytest_modelport.subject.modules import weights

    found = list(weights(work.module))
    if not found:
        raise CannotTransform(
            "the model has no layer with a weight of two or more dims: nothing to prune"
        )
    prune(found)
    if work.finetune is not None:
        trained(work)
    if work.options.get("permanent", True):
        for part, name in found:
            if torch_prune.is_pruned(part) and hasattr(part, f"{name}_mask"):
                torch_prune.remove(part, name)
    else:
        _detached(found)
    return work.module


def trained(work: ModuleWork) -> None:
    """The user's training, in train mode, and the module's own modes afterwards."""
    modes = [(part, part.training) for part in work.module.modules()]
    work.module.train()
    assert work.finetune is not None
    work.finetune(work.module)
    for part, mode in modes:
        part.training = mode


def _detached(found: list[tuple[nn.Module, str]]) -> None:
    """A masked weight is the result of an operation, which cannot be copied with its history."""
    import torch

    for part, name in found:
        value = getattr(part, name)
        if isinstance(value, torch.Tensor) and not isinstance(value, torch.nn.Parameter):
            setattr(part, name, value.detach())


def amount_of(work: ModuleWork, default: float) -> float:
    """The share to prune. Raises `CannotTransform` for one that is none."""
    amount: Any = work.options.get("amount", default)
    if not 0 < amount < 1:
        raise CannotTransform(f"amount is {amount:g}: give a share between 0 and 1")
    return float(amount)
