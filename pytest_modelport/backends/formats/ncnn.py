"""ncnn: a traced module, converted by pnnx.

ncnn has no batch axis: the first axis of every input and output is taken for one, and each of its
samples is a call.
"""

from __future__ import annotations

import warnings
from pathlib import Path

from pytest_modelport.backends.export import Exported, ExportRequest, versions
from pytest_modelport.backends.kit import programs, torchscript_files
from pytest_modelport.backends.kit.converters import convert
from pytest_modelport.core.artifact import TensorSpec

REQUIRES = {"torch": "torch", "pnnx": "pnnx>=20250530", "ncnn": "ncnn>=1.0.20250503"}
DEVICES = ("cpu",)
KIND = "ncnn"
RUNTIME = "ncnn"
EXTRA = "ncnn"
SUFFIXES = (".param",)
CALL = "named"
_NAME = "model"
_ENTRY = f"{_NAME}.ncnn.param"
#: ncnn's weights have no names and no shapes.
constants = None


def export(request: ExportRequest) -> Exported:
    """Trace with one sample of the batch, and convert. Raises `RuntimeError` as pnnx words it."""
    import pnnx
    import torch

    module, args, _, _ = programs.arguments(request, "flat", str)
    sizes = {tensor.shape[0] if tensor.dim() > 1 else 0 for tensor in args}
    if len(sizes) != 1 or 0 in sizes:
        raise ValueError(
            "ncnn has no batch axis: every input needs two axes or more, the first as long in all"
        )
    single = tuple(tensor[:1].contiguous() for tensor in args)
    with warnings.catch_warnings(record=True) as caught, torch.no_grad():
        warnings.simplefilter("always")
        torch.jit.save(
            torch.jit.trace(module, single, check_trace=False, strict=False),
            request.folder / f"{_NAME}.pt",
        )
    shapes = ",".join(f"[{','.join(map(str, tensor.shape))}]{_letter(tensor)}" for tensor in single)
    command = [pnnx.EXEC_PATH, f"{_NAME}.pt", f"inputshape={shapes}", "fp16=0"]
    convert("pnnx", command, request.folder, request.folder / _ENTRY)
    for path in request.folder.iterdir():
        if not path.name.startswith(f"{_NAME}.ncnn."):
            path.unlink()
    return Exported(
        _ENTRY,
        "flat",
        *programs.declared(request),
        {},
        versions("torch", "pnnx"),
        (*torchscript_files.frozen(caught), programs.UNREADABLE),
    )


def _letter(tensor: object) -> str:
    """Pnnx's word for a dtype."""
    name = str(getattr(tensor, "dtype", "")).removeprefix("torch.")
    words = {
        "float32": "f32",
        "float16": "f16",
        "float64": "f64",
        "int64": "i64",
        "int32": "i32",
        "int8": "i8",
        "uint8": "u8",
    }
    if name not in words:
        raise ValueError(f"pnnx does not take {name}: give {', '.join(words)}")
    return words[name]


def inspect(path: Path) -> tuple[tuple[TensorSpec, ...], tuple[TensorSpec, ...], tuple[str, ...]]:
    """The weights' file. Raises `ValueError` when it is no ncnn graph."""
    if not path.read_bytes().startswith(b"7767517"):
        raise ValueError(f"{path.name} is not an ncnn graph")
    return (), (), (path.with_suffix(".bin").name,)
