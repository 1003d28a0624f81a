"""LiteRT (TensorFlow Lite), converted by litert-torch from an exported program, in an environment
of its own.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from pytest_modelport.backends.export import Exported, ExportRequest, versions
from pytest_modelport.backends.kit import programs
from pytest_modelport.core.artifact import Manifest

REQUIRES = {"torch": "torch"}
DEVICES = ("cpu",)
KIND = "litert"
RUNTIME = "litert"
EXTRA = ""
ENVIRONMENT = "litert"
SUFFIXES = (".tflite",)
CALL = "named"
#: x64: keep int64 and float64, which litert-torch by itself makes int32 and float32.
OPTIONS = {"x64": bool}
_PROGRAM, _ENTRY = "model.pt2", "model.tflite"
inspect, warm = programs.opaque, programs.warm
#: Weights are repacked by the converter, which keeps no names.
constants = None


def export(request: ExportRequest) -> Exported:
    """Export behind flat tensors; the program is what the converter gets."""
    import torch

    program = programs.flat_program(request)
    torch.export.save(program, request.folder / _PROGRAM)
    return Exported(
        _PROGRAM,
        "flat",
        *programs.promise(program, request),
        versions("torch"),
        (programs.UNREADABLE,),
    )


def convert(folder: Path, manifest: Manifest) -> Manifest:
    """Make the file. Raises what litert-torch raises."""
    import litert_torch
    import torch

    source = folder / manifest.entry
    program: Any = torch.export.load(source)
    args, kwargs = program.example_inputs
    x64 = bool(manifest.options.get("x64", False))
    model = litert_torch.convert(
        program.module(), args, kwargs or None, dynamic_shapes=_shapes(manifest), enable_x64=x64
    )
    model.export(str(folder / _ENTRY))
    source.unlink()
    return replace(
        manifest,
        entry=_ENTRY,
        producers={**manifest.producers, **versions("litert-torch", "litert-converter")},
    )


def _shapes(manifest: Manifest) -> Any:
    """The promise's dims once more: the converter exports the program again."""
    from torch.export import Dim

    def dim(symbol: str) -> Any:
        if symbol not in manifest.ranges:
            return Dim.AUTO  # an expression of other dims
        lowest, highest = manifest.ranges[symbol]
        return Dim(f"dim_{symbol}", min=lowest, max=highest)

    symbols = {
        size for value in manifest.inputs for size in value.shape or () if isinstance(size, str)
    }
    dims = {symbol: dim(symbol) for symbol in sorted(symbols)}
    shapes = [
        {axis: dims[size] for axis, size in enumerate(value.shape or ()) if isinstance(size, str)}
        for value in manifest.inputs
    ]
    return tuple(shape or None for shape in shapes) if dims else None
