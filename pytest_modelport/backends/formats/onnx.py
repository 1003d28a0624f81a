"""ONNX through torch's current exporter (`torch.onnx.export(dynamo=True)`)."""

from __future__ import annotations

import logging

from pytest_modelport.backends.export import Exported, ExportRequest, versions
from pytest_modelport.backends.formats import _onnx_exporters
from pytest_modelport.backends.kit import onnx_files, programs

REQUIRES = {"torch": "torch", "onnx": "onnx>=1.16", "onnxscript": "onnxscript>=0.5"}
DEVICES = ("cpu", "cuda")
KIND = "onnx"
RUNTIME = "onnxruntime"
EXTRA = "onnx"
SUFFIXES = (".onnx",)
CALL = "named"
#: value_info: whether the file keeps the shapes of values inside, which other runtimes than ONNX
#: Runtime hold it to. debug: keep the exporter's notes on every node: source lines, paths, names in
#: the program.
OPTIONS = {"opset": int, "optimize": bool, "external_data": bool, "value_info": bool, "debug": bool}
_ENTRY = "model.onnx"
constants, inspect = onnx_files.constants, onnx_files.inspect
rounds_activations, settings = onnx_files.rounds_activations, onnx_files.settings


def export(request: ExportRequest) -> Exported:
    """Export, then read names, dtypes and dims back from the file. Raises `WrongArtifact` when they
    are not those asked for.
    """
    notes = _onnx_exporters.dynamo(request, request.folder / _ENTRY)
    if not request.options.get("value_info", True):
        onnx_files.strip_value_info(request.folder / _ENTRY)
    inputs, outputs = onnx_files.checked(request.folder / _ENTRY, request)
    return Exported(
        _ENTRY, CALL, inputs, outputs, {}, versions("torch", "onnx", "onnxscript"), notes
    )


def warm() -> None:
    """Import the exporter and parse its operator library here, so that every fork has them (half of
    a small export's time).
    """
    import onnxscript  # noqa: F401

    programs.warm()
    try:
        from torch.onnx._internal.exporter import _core, _registration  # noqa: F401
    except ImportError:
        return  # another torch keeps it elsewhere: the fork imports it itself
    logger = logging.getLogger(_registration.__name__)
    level = logger.level
    logger.setLevel(
        logging.ERROR
    )  # it says for each torchvision operator that torchvision is not installed
    try:
        _registration.ONNXRegistry.from_torchlib()
    finally:
        logger.setLevel(level)
