"""ONNX through torch's former exporter (`torch.onnx.export(dynamo=False)`), which traces."""

from __future__ import annotations

from pytest_modelport.backends.export import Exported, ExportRequest, versions
from pytest_modelport.backends.formats import _onnx_exporters
from pytest_modelport.backends.kit import onnx_files

REQUIRES = {"torch": "torch", "onnx": "onnx>=1.16"}
DEVICES = ("cpu", "cuda")
KIND = "onnx"
RUNTIME = "onnxruntime"
EXTRA = "onnx"
SUFFIXES = (".onnx",)
CALL = "named"
OPTIONS = {"opset": int, "constant_folding": bool}
_ENTRY = "model.onnx"
constants, inspect = onnx_files.constants, onnx_files.inspect
rounds_activations, settings = onnx_files.rounds_activations, onnx_files.settings


def export(request: ExportRequest) -> Exported:
    """Export, and read the promise back from the file. Raises `WrongArtifact` when it is not what
    was asked for.
    """
    notes = _onnx_exporters.legacy(request, request.folder / _ENTRY)
    inputs, outputs = onnx_files.checked(request.folder / _ENTRY, request)
    return Exported(_ENTRY, CALL, inputs, outputs, {}, versions("torch", "onnx"), notes)
