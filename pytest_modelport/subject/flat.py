"""The subject behind flat tensors, for formats that cannot carry its nested inputs or outputs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from pytest_modelport.core import tree
from pytest_modelport.core.tensors import is_tensor

if TYPE_CHECKING:
    from pytest_modelport.core.sample import Sample


class FlatModule(nn.Module):
    """Takes the sample's tensors in order, calls the subject with them nested as the sample nests
    them, and returns the tensors with the names `outputs`, in order. Everything else in the sample
    is fixed.

    Other tensors in the output are left out: while a model is traced, numbers that its objects keep
    are tensors too.
    """

    def __init__(self, subject: nn.Module, sample: Sample, outputs: tuple[str, ...]) -> None:
        super().__init__()
        self.training = subject.training
        self.subject = subject
        self._sample = sample
        self._outputs = outputs

    def forward(self, *tensors: torch.Tensor) -> tuple[Any, ...]:
        """One tensor for each of the sample's; returns a tuple of tensors."""
        remaining = iter(tensors)
        nested = (self._sample.args, dict(self._sample.kwargs))
        args, kwargs = tree.replace(nested, is_tensor, lambda _: next(remaining))
        leaves = tree.flatten(self.subject(*args, **kwargs), is_tensor).leaves
        found = dict(
            zip(tree.names(leaves, root="output"), (leaf for _, leaf in leaves), strict=True)
        )
        return tuple(found[name] for name in self._outputs if name in found)
