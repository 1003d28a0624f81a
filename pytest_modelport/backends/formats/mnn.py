"""MNN, converted from an ONNX file."""

from __future__ import annotations

import sys

from pytest_modelport.backends.export import Exported, ExportRequest, versions
from pytest_modelport.backends.formats import _onnx_exporters
from pytest_modelport.backends.kit import onnx_files, programs
from pytest_modelport.backends.kit.converters import convert

REQUIRES = {
    "torch": "torch",
    "onnx": "onnx>=1.17",
    "onnxscript": "onnxscript>=0.5",
    "MNN": "MNN>=3.2",
}
DEVICES = ("cpu",)
KIND = "mnn"
VIA = "onnx"
RUNTIME = "mnn"
EXTRA = "mnn"
SUFFIXES = (".mnn",)
CALL = "named"
#: exporter: which of torch's two makes the ONNX file.
OPTIONS = {"exporter": ("dynamo", "legacy")}
_ENTRY = "model.mnn"
inspect, warm = programs.opaque, programs.warm
#: MNN's Python package gives no way to read a model's weights.
constants = None
#: The converter itself. Its command line tool would also report usage and install packages.
_CONVERT = "import sys, _tools; _tools.mnnconvert(sys.argv)"


def export(request: ExportRequest) -> Exported:
    """Export to ONNX and convert, in a process that may crash. Raises `RuntimeError` with the
    converter's own word.
    """
    onnx = request.folder / "model.onnx"
    notes = _onnx_exporters.chosen(request, onnx)
    inputs, outputs = onnx_files.promise(onnx)
    command = [sys.executable, "-c", _CONVERT, "-f", "ONNX", "--modelFile", str(onnx)]
    command += ["--MNNModel", str(request.folder / _ENTRY), "--bizCode", "modelport"]
    convert("MNN", command, request.folder, request.folder / _ENTRY)
    for scratch in (onnx, request.folder / ".__convert_external_data.bin"):
        scratch.unlink(missing_ok=True)
    return Exported(
        _ENTRY,
        "named",
        inputs,
        onnx_files.named(outputs, request),
        {},
        versions("torch", "onnx", "MNN"),
        (*notes, programs.UNREADABLE),
    )
