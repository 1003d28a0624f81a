"""Samples from what users have: lists, data loaders, files of arrays."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from pytest_modelport.core.errors import UsageError
from pytest_modelport.core.sample import Sample

#: A data loader holds more than a test wants to run.
BATCHES = 8


def samples_of(values: Any, like: Sample) -> tuple[tuple[Sample, ...], tuple[str, ...]]:
    """Further samples, and notes on what was left out.

    values: an iterable of samples, each a `Sample`, a tuple of arguments, one argument, or a file;
    one file; or a `torch.utils.data.DataLoader`, of which the first batches are taken, and of a
    batch that is a list as many parts as `like` has arguments (labels come last). Raises
    `UsageError`.
    """
    if isinstance(values, (str, Path)):
        values = [values]
    lone = isinstance(values, (Sample, Mapping)) or hasattr(
        values, "dtype"
    )  # a tensor would be taken apart by rows
    if lone or not isinstance(values, Iterable):
        raise UsageError(
            f"samples is a {type(values).__name__}: "
            "give a list of argument tuples or Sample objects"
        )
    if any(kind.__name__ == "DataLoader" for kind in type(values).__mro__):
        batches = list(itertools.islice(values, BATCHES + 1))
        notes = (
            (f"samples: the first {BATCHES} batches of the data loader",)
            if len(batches) > BATCHES
            else ()
        )
        return tuple(_batch(batch, like) for batch in batches[:BATCHES]), notes
    return tuple(
        _file(Path(value)) if isinstance(value, (str, Path)) else Sample.of(value)
        for value in values
    ), ()


def _batch(batch: Any, like: Sample) -> Sample:
    if isinstance(batch, Mapping):
        wanted = {key: batch[key] for key in like.kwargs if key in batch}
        return Sample((), wanted or dict(batch))
    return Sample(tuple(batch)[: len(like.args)] if isinstance(batch, (list, tuple)) else (batch,))


def _file(path: Path) -> Sample:
    """A file's arrays as keyword arguments."""
    if path.suffix not in (".npz", ".safetensors"):
        raise UsageError(
            f"sample {path} is neither .npz nor .safetensors: "
            "those hold arrays by the name of the input"
        )
    if not path.is_file():
        raise UsageError(f"no sample at {path}")
    return Sample((), _npz(path) if path.suffix == ".npz" else _safetensors(path))


def _npz(path: Path) -> dict[str, Any]:
    import numpy as np
    import torch

    with np.load(path, allow_pickle=False) as arrays:
        return {name: torch.from_numpy(arrays[name]) for name in arrays.files}


def _safetensors(path: Path) -> dict[str, Any]:
    try:
        from safetensors.torch import load_file
    except ImportError as error:
        raise UsageError(
            f"sample {path.name} needs safetensors: pip install safetensors"
        ) from error
    return dict(load_file(path))
