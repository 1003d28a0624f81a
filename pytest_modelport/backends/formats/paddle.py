"""Paddle, converted by x2paddle from a file of torch's former ONNX exporter, in an environment of
its own.
"""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

from pytest_modelport.backends.export import Exported, ExportRequest, versions
from pytest_modelport.backends.formats import _onnx_exporters
from pytest_modelport.backends.kit import onnx_files, programs
from pytest_modelport.core.artifact import Manifest, TensorSpec

REQUIRES = {"torch": "torch", "onnx": "onnx>=1.16"}
DEVICES = ("cpu",)
KIND = "paddle"
VIA = "onnx"
RUNTIME = "paddle"
EXTRA = "onnx"
ENVIRONMENT = "paddle"
SUFFIXES = (".json", ".pdmodel")
#: A file is a graph of operators, some of which read and write files.
PROGRAM = True
CALL = "named"
_ONNX, _ENTRY = "model.onnx", "model.json"
#: The newest operators that x2paddle knows.
_OPSET = 14
#: Weights are renamed by the converter.
constants = None


def inspect(path: Path) -> tuple[tuple[TensorSpec, ...], tuple[TensorSpec, ...], tuple[str, ...]]:
    """Nothing but which file has its weights."""
    return programs.beside(path, f"{path.stem}.pdiparams")


def export(request: ExportRequest) -> Exported:
    """Write the ONNX file that the converter gets."""
    path = request.folder / _ONNX
    notes = _onnx_exporters.legacy(replace(request, options={"opset": _OPSET}), path)
    inputs, outputs = onnx_files.promise(path)
    return Exported(
        _ONNX,
        CALL,
        inputs,
        onnx_files.named(outputs, request),
        {},
        versions("torch", "onnx"),
        (*notes, programs.UNREADABLE),
    )


def convert(folder: Path, manifest: Manifest) -> Manifest:
    """Make the program of the ONNX file. Raises what x2paddle raises, and `RuntimeError` where it
    only leaves.
    """
    _patch_onnx()
    from x2paddle.convert import onnx2paddle

    source, made = folder / manifest.entry, folder / "made"
    try:  # feedback: it would report to its makers
        onnx2paddle(str(source), str(made), enable_onnx_checker=False, disable_feedback=True)
    except SystemExit as end:  # how it gives up, with status 0
        said = [line.strip() for line in str(end.__context__).splitlines() if "Error: " in line]
        raise RuntimeError(f"x2paddle failed: {said[-1] if said else end.__context__}") from None
    for file in (made / "inference_model").iterdir():
        file.replace(folder / file.name)
    shutil.rmtree(made)
    source.unlink()
    return replace(
        manifest,
        entry=_ENTRY,
        producers={**manifest.producers, **versions("x2paddle", "paddlepaddle")},
    )


def _patch_onnx() -> None:
    """What x2paddle still asks of onnx and onnx no longer has."""
    import sys
    import types

    import onnx
    from onnx import TensorProto, helper

    lacking: Any = onnx
    if not hasattr(onnx, "mapping"):
        names = [number for number in TensorProto.DataType.values() if number]
        mapping: Any = types.ModuleType("onnx.mapping")
        mapping.TENSOR_TYPE_TO_NP_TYPE = {
            number: helper.tensor_dtype_to_np_dtype(number) for number in names
        }
        sys.modules["onnx.mapping"] = lacking.mapping = mapping
    lacking.version = types.SimpleNamespace(version=onnx.__version__)
