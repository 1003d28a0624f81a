"""Inputs as a command line says them: `x=1x3x224x224`, `mask=2x7:int64`, `x=images.npy`."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pytest_modelport.core.errors import UsageError, unknown

if TYPE_CHECKING:
    import torch

HELP = (
    "an input: [NAME=]SHAPE[:DTYPE] or [NAME=]FILE.npy, as x=1x3x224x224:float32; floats are drawn "
    "from a normal distribution, whole numbers are 0 and 1; may be repeated"
)
_SHAPE = re.compile(r"(\d+(?:x\d+)*|scalar)(?::(\w+))?")
#: What torch draws and a command line may ask for.
_DTYPES = (
    *("float32", "float64", "float16", "bfloat16"),
    *("int64", "int32", "int16", "int8", "uint8", "bool"),
)


def inputs(texts: Sequence[str]) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Positional inputs and those by name, the same each time. Raises `UsageError`."""
    import torch

    args: list[torch.Tensor] = []
    kwargs: dict[str, torch.Tensor] = {}
    generator = torch.Generator().manual_seed(0)
    for text in texts:
        name, equals, said = text.rpartition("=")
        if equals and not name.isidentifier():
            raise UsageError(f"input {text!r}: {name!r} is no name of an argument")
        tensor = _tensor(text, said, generator)
        if name:
            kwargs[name] = tensor
        elif kwargs:
            raise UsageError(f"input {text!r} has no name and comes after one that has")
        else:
            args.append(tensor)
    return tuple(args), kwargs


def _tensor(text: str, said: str, generator: torch.Generator) -> torch.Tensor:
    if said.endswith(".npy"):
        return _stored(text, Path(said))
    match = _SHAPE.fullmatch(said)
    if match is None:
        raise UsageError(
            f"input {text!r}: {said!r} is neither a shape (1x3x224x224, 2x7:int64, scalar) nor a "
            "file that ends in .npy"
        )
    shape = () if match[1] == "scalar" else tuple(map(int, match[1].split("x")))
    return _drawn(shape, match[2] or "float32", generator)


def _drawn(shape: tuple[int, ...], dtype: str, generator: torch.Generator) -> torch.Tensor:
    import torch

    if dtype not in _DTYPES:
        raise unknown("dtype of an input", dtype, _DTYPES)
    kind: torch.dtype = getattr(torch, dtype)
    if kind.is_floating_point:
        return torch.randn(shape, generator=generator).to(kind)
    return torch.randint(0, 2, shape, generator=generator).to(kind)


def _stored(text: str, file: Path) -> torch.Tensor:
    import numpy as np
    import torch

    try:
        return torch.from_numpy(np.load(file, allow_pickle=False))
    except (OSError, ValueError, TypeError, EOFError) as error:
        raise UsageError(f"input {text!r}: {file} cannot be read: {error}") from error
