"""torch.export: an ExportedProgram saved as .pt2."""

from __future__ import annotations

import re
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pytest_modelport.backends.export import Exported, ExportRequest, versions
from pytest_modelport.backends.kit import programs
from pytest_modelport.core.arrays import Array
from pytest_modelport.core.artifact import Manifest, TensorSpec

if TYPE_CHECKING:
    import torch

REQUIRES = {"torch": "torch"}
DEVICES = ("cpu", "cuda")
KIND = "exported_program"
RUNTIME = "exported_program"
EXTRA = ""
SUFFIXES = (".pt2",)
CALL = "natural"
#: debug: keep source lines, paths, and the example inputs.
OPTIONS = {"debug": bool}
_ENTRY = "model.pt2"
#: The records that torch.export.save writes (torch/export/pt2_archive/constants.py). torch loads
#: whatever lies in models/, so a name that it does not write is nothing to be guessed at.
_RECORDS = re.compile(
    r"[^/]+/(archive_format|archive_version|byteorder|version|\.data/(version|serialization_id)"
    r"|models/[^/]+\.json|extra/[^/]+"
    r"|data/weights/(weight_\d+|[^/]+_weights_config\.json)"
    r"|data/constants/((tensor|custom_obj|opaque_obj)_\d+|[^/]+_constants_config\.json)"
    r"|data/sample_inputs/[^/]+\.pt)"
)
warm = programs.warm


def export(request: ExportRequest) -> Exported:
    """Export without strict tracing (torch's default), save, and read the promise off it."""
    import torch

    call = programs.call_style(request, kept=(int, float, bool))
    module, args, kwargs, shapes = programs.arguments(request, call, programs.export_dim)
    program = torch.export.export(module, args, kwargs, dynamic_shapes=shapes, strict=False)
    if not request.options.get("debug"):
        programs.stripped(program)
    torch.export.save(program, request.folder / _ENTRY)
    inputs, outputs, ranges = programs.promise(program, request)
    return Exported(_ENTRY, call, inputs, outputs, ranges, versions("torch"), programs.notes(call))


def constants(folder: Path, manifest: Manifest) -> Iterator[tuple[str, Array]]:
    """Parameters, buffers and lifted constants of the program."""
    import torch

    from pytest_modelport.core.tensors import is_tensor, plain, to_array

    program: torch.export.ExportedProgram = torch.export.load(folder / manifest.entry)
    stored: dict[str, Any] = {**program.state_dict, **program.constants}
    for name, value in stored.items():
        if is_tensor(value):
            yield from ((path, to_array(part)) for path, part in plain(name, value))


def inspect(path: Path) -> tuple[tuple[TensorSpec, ...], tuple[TensorSpec, ...], tuple[str, ...]]:
    """A torch file says nothing without being loaded, which only the clean room does."""
    if not zipfile.is_zipfile(path):
        raise ValueError(f"{path.name} is not an archive that torch has written")
    with zipfile.ZipFile(path) as archive:
        for name in archive.namelist():
            if not _RECORDS.fullmatch(name):
                raise ValueError(f"it has {name!r}, which no exported program has")
    return (), (), ()
