"""The subject's submodules: their paths, modes, device, and which of their weights are zero."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import torch
from torch import nn

from pytest_modelport.core.errors import UsageError
from pytest_modelport.core.sample import Sample
from pytest_modelport.core.tensors import fresh
from pytest_modelport.subject.copies import copied


def paths(module: nn.Module) -> dict[int, str]:
    """`id(submodule)` -> its path; the subject itself is its class name."""
    return {id(part): path or type(module).__name__ for path, part in module.named_modules()}


def initialised(module: nn.Module, sample: Sample) -> tuple[str, ...]:
    """Run a module with lazy parts once, as its first call would, so that there are weights to
    export. Returns a note. Raises `UsageError` with what the module says.
    """
    tensors = itertools.chain(module.parameters(), module.buffers())
    if not any(map(nn.parameter.is_lazy, tensors)):
        return ()
    once = fresh(sample)
    try:
        with torch.no_grad():
            module(*once.args, **once.kwargs)
    except Exception as error:
        raise UsageError(
            f"{type(module).__name__} has lazy parts and fails where they are made: {error}"
        ) from error
    return ("the model's lazy parts were made by running it once on its inputs",)


def training(module: nn.Module) -> str:
    """The submodules left in train mode that compute differently there, in words."""
    sensitive = [
        path or type(module).__name__
        for path, part in module.named_modules()
        if part.training
        and (
            isinstance(part, (nn.modules.dropout._DropoutNd, nn.modules.batchnorm._NormBase))
            or _rnn_dropout(part)
        )
    ]
    more = f" and {len(sensitive) - 3} more" if len(sensitive) > 3 else ""
    return ", ".join(sensitive[:3]) + more


def _rnn_dropout(part: nn.Module) -> bool:
    return isinstance(part, nn.RNNBase) and part.dropout > 0


def outside(module: nn.Module) -> tuple[str, ...]:
    """Paths of the tensors that `state_dict()` leaves behind: plain attributes, and buffers that
    are not persistent.
    """
    found = []
    for path, part in module.named_modules():
        plain = [key for key, value in vars(part).items() if isinstance(value, torch.Tensor)]
        passing = [
            key
            for key, value in part.named_buffers(recurse=False)
            if key in part._non_persistent_buffers_set
        ]
        found += [f"{path}.{key}".lstrip(".") for key in (*plain, *passing)]
    return tuple(found)


def dtypes(module: nn.Module) -> set[str]:
    """The dtypes of everything it stores, as torch names them without the prefix."""
    tensors = (*module.parameters(), *module.buffers())
    return {str(tensor.dtype).removeprefix("torch.") for tensor in tensors}


def placed(module: nn.Module, device: str) -> nn.Module:
    """The module on `device`: itself when it is there, else a copy."""
    wanted = torch.device(device)
    elsewhere = any(
        tensor.device.type != wanted.type or wanted.index not in (None, tensor.device.index)
        for tensor in (*module.parameters(), *module.buffers())
    )
    return copied(module).to(wanted) if elsewhere else module


def weights(module: nn.Module) -> Iterator[tuple[nn.Module, str]]:
    """The matrices and kernels of layers, as (submodule, name): not biases, norms, embeddings."""
    from torch import nn

    for part in module.modules():
        if isinstance(part, (nn.Embedding, nn.EmbeddingBag)):
            continue
        for name, tensor in part.named_parameters(recurse=False):
            if name.startswith(("weight", "in_proj_weight")) and tensor.dim() > 1:
                yield part, name


def zeros(module: nn.Module) -> int:
    """Zeros in the weights that the model computes with, masks applied."""
    found = (getattr(part, name.removesuffix("_orig")) for part, name in weights(module))
    return sum(int((weight == 0).sum()) for weight in found)
