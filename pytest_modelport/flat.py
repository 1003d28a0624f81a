"""The subject behind flat tensors, for formats that cannot carry its nested inputs or outputs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from pytest_modelport import tree
from pytest_modelport.tensors import is_tensor

if TYPE_CHECKING:
    from pytest_modelport.sample import Sample


class Flat(nn.Module):
    """Takes the sample's tensors in order, calls the subject with them nested as the sample nests them, and returns the
    output's tensors in order. Everything else in the sample is fixed.
    """

    def __init__(self, subject: nn.Module, sample: Sample) -> None:
        super().__init__()
        self.training = subject.training
        self.subject = subject
        self._sample = sample

    def forward(self, *tensors: torch.Tensor) -> tuple[Any, ...]:
        """One tensor for each of the sample's; returns a tuple of tensors."""
        remaining = iter(tensors)
        nested = (self._sample.args, dict(self._sample.kwargs))
        args, kwargs = tree.replace(nested, is_tensor, lambda _: next(remaining))
        return tuple(leaf for _, leaf in tree.flatten(self.subject(*args, **kwargs), is_tensor).leaves)
