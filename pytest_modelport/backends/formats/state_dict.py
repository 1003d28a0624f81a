"""A state dict: the weights alone, for another instance of the same code."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pytest_modelport.backends.export import Exported, ExportRequest, versions
from pytest_modelport.backends.kit import programs, torchscript_files
from pytest_modelport.core.arrays import Array
from pytest_modelport.core.artifact import Manifest

REQUIRES = {"torch": "torch"}
DEVICES = ("cpu", "cuda")
KIND = "state_dict"
RUNTIME = "load_state_dict"
EXTRA = ""
SUFFIXES = (".pt", ".pth", ".bin")
CALL = "natural"
PERSISTENT = True
_ENTRY = "model.pt"
inspect = torchscript_files.inspect


def export(request: ExportRequest) -> Exported:
    """Save `state_dict()` as it is."""
    import torch

    from pytest_modelport.subject.modules import outside

    torch.save(request.module.state_dict(), request.folder / _ENTRY)
    beside = outside(request.module)
    note = (
        f"not in the state dict: {', '.join(beside[:3])}; "
        "give a factory as the model to prove that the code makes it again"
    )
    return Exported(
        _ENTRY,
        programs.live_style(request),
        *programs.unsized(request),
        {},
        versions("torch"),
        (note,) if beside else (),
    )


def constants(folder: Path, manifest: Manifest) -> Iterator[tuple[str, Array]]:
    """Every tensor in the file."""
    import torch

    from pytest_modelport.core.tensors import is_tensor, to_array

    stored: dict[str, Any] = torch.load(
        folder / manifest.entry, weights_only=True, map_location="cpu"
    )
    for name, value in stored.items():
        if is_tensor(value):
            yield name, to_array(value)
