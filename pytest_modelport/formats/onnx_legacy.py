"""ONNX through torch's former exporter (`torch.onnx.export(dynamo=False)`), which traces."""

from __future__ import annotations

import warnings

from pytest_modelport import jitfile, onnxfile, programs
from pytest_modelport.dims import Axes
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
    """Export behind flat tensors (the tracer names what it finds inside), and read the promise back from the file."""
    import torch

    module, args, _, _ = programs.arguments(request, "flat", str)
    axes = {name: _named(name, dims) for name, dims in request.shapes.axes.items()}
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        torch.onnx.export(
            module,
            args,
            str(request.folder / _ENTRY),
            dynamo=False,
            input_names=[item.name for item in request.inputs.tensors],
            output_names=list(request.outputs),
            dynamic_axes=axes if request.shapes.dynamic else None,
            opset_version=request.options.get("opset"),
            do_constant_folding=request.options.get("constant_folding", True),
            training=torch.onnx.TrainingMode.PRESERVE,
        )
    inputs, outputs = onnxfile.checked(request.folder / _ENTRY, request)
    return Exported(_ENTRY, CALL, inputs, outputs, {}, versions("torch", "onnx"), jitfile.frozen(caught))


def _named(name: str, dims: Axes) -> dict[int, str]:
    """A name for each axis that may vary: a dim's own, or one made of the input's."""
    varying = {axis: dim for axis, dim in dims.items() if dim is not None and not isinstance(dim, int)}
    return {axis: dim if isinstance(dim, str) else getattr(dim, "__name__", f"{name}_{axis}") for axis, dim in varying.items()}
