"""What the transforms that prune share: which weights, masks made permanent, and what was reached."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from pytest_modelport.work import CannotTransform, ModuleWork

if TYPE_CHECKING:
    from torch import nn

#: permanent: zeros in the weights instead of a mask beside them. Files keep both otherwise, and are twice as large.
OPTIONS = {"amount": float, "permanent": bool}


def weights(module: nn.Module) -> Iterator[tuple[nn.Module, str]]:
    """The matrices and kernels of layers, as (submodule, name): not biases, norms, embeddings."""
    from torch import nn

    for part in module.modules():
        if isinstance(part, (nn.Embedding, nn.EmbeddingBag)):
            continue
        for name, tensor in part.named_parameters(recurse=False):
            if name.startswith(("weight", "in_proj_weight")) and tensor.dim() > 1:
                yield part, name


def pruned(work: ModuleWork, prune: Callable[[list[tuple[nn.Module, str]]], None]) -> nn.Module:
    """Prune, train again where the user gave `finetune`, and make the masks permanent unless they are to be kept."""
    from torch.nn.utils import prune as torch_prune

    found = list(weights(work.module))
    if not found:
        raise CannotTransform("the model has no layer with a weight of two or more dims: nothing to prune")
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


def zeros(module: nn.Module) -> int:
    """Zeros in the weights that the model computes with, masks applied."""
    found = (getattr(part, name.removesuffix("_orig")) for part, name in weights(module))
    return sum(int((weight == 0).sum()) for weight in found)


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
