"""From a model sharded over processes (FSDP, tensor parallel) to the plain one that is exported."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from pytest_modelport.core.errors import ModelportError, UsageError
from pytest_modelport.subject.copies import copied


class NotTheSame(ModelportError):
    """The consolidated weights are not the sharded ones."""


def consolidated(sharded: nn.Module, plain: nn.Module) -> nn.Module:
    """A copy of `plain` with the weights of `sharded`, bit for bit, on the CPU.

    plain: an instance of the class before it was sharded; its own weights do not matter. Call it in
    every process: gathering is collective, and all get the result. Raises `UsageError` where names
    or shapes differ, `NotTheSame` where a number does.
    """
    from torch.distributed.checkpoint.state_dict import StateDictOptions, get_model_state_dict

    state = get_model_state_dict(sharded, options=StateDictOptions(full_state_dict=True))
    full = {name: _gathered(tensor) for name, tensor in state.items()}
    made = copied(plain)
    try:
        made.load_state_dict(full, strict=True)
    except RuntimeError as error:
        raise UsageError(
            f"the sharded model does not fit {type(plain).__name__}: {error}"
        ) from error
    for name, tensor in made.state_dict().items():
        if not _same(tensor.cpu(), full[name]):
            raise NotTheSame(
                f"{name!r} changed while it was consolidated: "
                f"{tensor.dtype} holds what was {full[name].dtype}"
            )
    for path, part in made.named_modules():
        part.training = dict(sharded.named_modules()).get(path, part).training
    return made.cpu()


def _gathered(value: Any) -> Any:
    return value.detach().cpu() if isinstance(value, torch.Tensor) else value


def _same(first: torch.Tensor, second: torch.Tensor) -> bool:
    """Bit for bit, NaN included."""
    return (
        first.dtype == second.dtype
        and first.shape == second.shape
        and bool(torch.equal(_bits(first), _bits(second)))
    )


def _bits(tensor: torch.Tensor) -> torch.Tensor:
    return tensor.contiguous().reshape(-1).view(torch.uint8)
