"""Inputs that an artifact never promised to take: its sample with one thing wrong at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch

from pytest_modelport.core import tree
from pytest_modelport.core.artifact import Manifest
from pytest_modelport.core.sample import Sample
from pytest_modelport.core.tensors import is_tensor
from pytest_modelport.subject.inputs import Inputs

#: How many of a subject's inputs are tried, and an id that no table has.
_INPUTS, _FAR = 4, 2**31 - 1


@dataclass(frozen=True, eq=False)
class Probe:
    """One sample with one thing wrong. missing: the input that is left out of what the port gets,
    empty for none.
    """

    label: str
    sample: Sample
    missing: str = ""


def probes(inputs: Inputs, manifest: Manifest) -> Iterator[Probe]:
    """Wrong rank, dtype, fixed size, ids out of range, and inputs left out where the port takes
    them by name.
    """
    for item in inputs.tensors[:_INPUTS]:
        for what, change in _changes(item.tensor, _fixed(manifest, item.name)):
            yield Probe(f"{item.name} {what}", _changed(inputs.sample, item.tensor, change))
    if manifest.call == "named" and len(inputs.tensors) > 1:
        for item in inputs.tensors[:_INPUTS]:
            yield Probe(f"{item.name} left out", inputs.sample, item.name)


def _fixed(manifest: Manifest, name: str) -> list[int]:
    """The axes of an input whose size the promise fixes."""
    promised = next((value.shape for value in manifest.inputs if value.name == name), None)
    return [axis for axis, size in enumerate(promised or ()) if isinstance(size, int)]


Change = Callable[[torch.Tensor], torch.Tensor]


def _changes(tensor: torch.Tensor, fixed: list[int]) -> Iterator[tuple[str, Change]]:
    yield "of one more dim", lambda value: value.unsqueeze(0)
    other = torch.float64 if tensor.dtype.is_floating_point else torch.float32
    yield f"as {str(other).removeprefix('torch.')}", lambda value: value.to(other)
    for axis in fixed:
        if tensor.shape[axis] > 0:
            yield f"with one more along dim {axis}", lambda value, axis=axis: _longer(value, axis)  # type: ignore[misc]
    if tensor.dtype in (torch.int32, torch.int64) and tensor.numel():
        for number in (-1, _FAR):
            yield f"with {number} in it", lambda value, number=number: _with(value, number)  # type: ignore[misc]


def _longer(tensor: torch.Tensor, axis: int) -> torch.Tensor:
    return torch.cat([tensor, tensor.narrow(axis, 0, 1)], axis)


def _with(tensor: torch.Tensor, number: int) -> torch.Tensor:
    changed = tensor.clone()
    changed[(0,) * tensor.dim()] = number
    return changed


def _changed(sample: Sample, which: torch.Tensor, change: Change) -> Sample:
    """The sample with one of its tensors changed."""
    nested = (sample.args, dict(sample.kwargs))
    args, kwargs = tree.replace(
        nested, is_tensor, lambda value: change(value.detach()) if value is which else value
    )
    return Sample(args, kwargs)
