"""Which elements of an operation's results no rounding went into."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch.utils._pytree import tree_flatten, tree_unflatten

from pytest_modelport.reference.dispatch import (
    operands,
    wide,
    widened,
)


def unrounded_parts(
    func: Any, outputs: list[torch.Tensor], flat: list[Any], spec: Any
) -> list[torch.Tensor]:
    """Which elements of each result no rounding went into."""
    tensors = operands(flat)
    exact: Sequence[torch.Tensor | None] = _exact(func, flat, tensors, spec) or [None] * len(
        outputs
    )
    return [
        _unrounded(output, value, tensors) for output, value in zip(outputs, exact, strict=True)
    ]


def _exact(
    func: Any, flat: list[Any], tensors: list[torch.Tensor], spec: Any
) -> list[torch.Tensor] | None:
    """The operation's float results in float64 from the same operands; None where float64 has no
    kernel.
    """
    args, kwargs = tree_unflatten(
        widened(flat, tensors, lambda tensor: tensor.to(wide(tensor.dtype), copy=True)), spec
    )
    try:
        return operands(tree_flatten(func(*args, **kwargs))[0])
    except (RuntimeError, TypeError, ValueError, NotImplementedError, IndexError, AssertionError):
        return None  # treated as rounded


def _unrounded(
    output: torch.Tensor, exact: torch.Tensor | None, tensors: list[torch.Tensor]
) -> torch.Tensor:
    """Which elements no rounding went into.

    float64 results have no wider arithmetic to compare with: there, an element that is one of the
    operands' (a selection, a sign change) or a whole number counts as not rounded.
    """
    if exact is not None and output.dtype is not exact.dtype:
        return (exact == output) | output.isnan()
    if output.is_complex():
        return output.isnan()
    real = [tensor for tensor in tensors if not tensor.is_complex()]
    if not real:
        return (output == output.round()) | output.isnan()
    values = torch.cat([tensor.detach().to(output.dtype).abs().flatten() for tensor in real])
    return torch.isin(output.abs(), values) | (output == output.round()) | output.isnan()
