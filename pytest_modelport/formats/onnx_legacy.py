"""ONNX through torch's former exporter (`torch.onnx.export(dynamo=False)`), which traces."""

from __future__ import annotations

from pytest_modelport import onnxexport, onnxfile
from pytest_modelport.export import Exported, Request, versions

REQUIRES = {"torch": "torch", "onnx": "onnx>=1.16"}
DEVICES = ("cpu", "cuda")
KIND = "onnx"
RUNTIME = "onnxruntime"
EXTRA = "onnx"
SUFFIXES = (".onnx",)
CALL = "named"
OPTIONS = {"opset": int, "constant_folding": bool}

_ENTRY = "model.onnx"
constants, inspect = onnxfile.constants, onnxfile.inspect


def export(request: Request) -> Exported:
    """Export, and read the promise back from the file. Raises `WrongArtifact` when it is not what was asked for."""
    notes = onnxexport.legacy(request, request.folder / _ENTRY)
    inputs, outputs = onnxfile.checked(request.folder / _ENTRY, request)
    return Exported(_ENTRY, CALL, inputs, outputs, {}, versions("torch", "onnx"), notes)
