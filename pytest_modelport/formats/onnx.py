"""ONNX through torch's current exporter (`torch.onnx.export(dynamo=True)`)."""

from __future__ import annotations

import logging

from pytest_modelport import onnxfile, programs
from pytest_modelport.export import Exported, Request, versions

REQUIRES = {"torch": "torch", "onnx": "onnx>=1.16", "onnxscript": "onnxscript>=0.5"}
DEVICES = ("cpu", "cuda")
KIND = "onnx"
RUNTIME = "onnxruntime"
EXTRA = "onnx"
SUFFIXES = (".onnx",)
CALL = "named"
OPTIONS = {"opset": int, "optimize": bool, "external_data": bool}

_ENTRY = "model.onnx"
constants, inspect = onnxfile.constants, onnxfile.inspect


def export(request: Request) -> Exported:
    """Export, then read names, dtypes and dims back from the file. Raises `WrongArtifact` when they are not those asked for."""
    import torch

    call = programs.call_style(request)
    module, args, kwargs, shapes = programs.arguments(request, call, lambda value: value)
    if args and isinstance(args[-1], dict) and not kwargs:
        args = (*args, {})  # torch.onnx.export takes a dict that comes last for keyword arguments
    weights = sum(tensor.numel() * tensor.element_size() for tensor in module.state_dict().values() if hasattr(tensor, "numel"))
    torch.onnx.export(
        module,
        args,
        str(request.folder / _ENTRY),
        kwargs=kwargs,
        dynamo=True,
        input_names=[item.name for item in request.inputs.tensors],
        output_names=list(request.outputs),
        dynamic_shapes=shapes,
        opset_version=request.options.get("opset"),
        optimize=request.options.get("optimize", True),
        external_data=request.options.get("external_data", weights > onnxfile.EMBEDDED_BYTES),
        verbose=False,
    )
    inputs, outputs = onnxfile.checked(request.folder / _ENTRY, request)
    return Exported(_ENTRY, CALL, inputs, outputs, {}, versions("torch", "onnx", "onnxscript"), programs.notes(call))


def warm() -> None:
    """Import the exporter and parse its operator library here, so that every fork has them (half of a small export's time)."""
    import onnxscript  # noqa: F401

    programs.warm()
    try:
        from torch.onnx._internal.exporter import _core, _registration  # noqa: F401
    except ImportError:
        return  # another torch keeps it elsewhere: the fork imports it itself
    logger = logging.getLogger(_registration.__name__)
    level = logger.level
    logger.setLevel(logging.ERROR)  # it says for each torchvision operator that torchvision is not installed
    try:
        _registration.ONNXRegistry.from_torchlib()
    finally:
        logger.setLevel(level)
