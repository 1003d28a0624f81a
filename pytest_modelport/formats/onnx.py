"""ONNX through torch's current exporter (`torch.onnx.export(dynamo=True)`)."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pytest_modelport import programs
from pytest_modelport.artifact import Manifest, Value
from pytest_modelport.export import Exported, Request, WrongArtifact, versions
from pytest_modelport.wire import Array

if TYPE_CHECKING:
    import onnx

REQUIRES = {"torch": "torch", "onnx": "onnx>=1.16", "onnxscript": "onnxscript>=0.5"}
DEVICES = ("cpu", "cuda")
KIND = "onnx"
RUNTIME = "onnxruntime"
EXTRA = "onnx"
SUFFIXES = (".onnx",)
CALL = "named"

_ENTRY = "model.onnx"
#: protobuf refuses messages of 2 GiB, so weights beyond this go into a file of their own.
_EMBEDDED_BYTES = 1_500_000_000


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
        external_data=weights > _EMBEDDED_BYTES,
        verbose=False,
    )
    inputs, outputs = _promise(request.folder / _ENTRY)
    _check(outputs, request)
    return Exported(_ENTRY, CALL, inputs, outputs, {}, versions("torch", "onnx", "onnxscript"), programs.notes(call))


def _check(outputs: tuple[Value, ...], request: Request) -> None:
    names = tuple(value.name for value in outputs)
    if names != request.outputs:
        raise WrongArtifact(f"outputs are {', '.join(names)}; the subject's are {', '.join(request.outputs)}")


def _promise(path: Path) -> tuple[tuple[Value, ...], tuple[Value, ...]]:
    import onnx

    graph = onnx.load(path, load_external_data=False).graph
    stored = {tensor.name for tensor in graph.initializer}
    return (
        tuple(_value(info) for info in graph.input if info.name not in stored),
        tuple(_value(info) for info in graph.output),
    )


def _value(info: onnx.ValueInfoProto) -> Value:
    import onnx

    tensor = info.type.tensor_type
    dtype = onnx.TensorProto.DataType.Name(tensor.elem_type).lower()
    dims = tuple(_dim(dim) for dim in tensor.shape.dim) if tensor.HasField("shape") else None
    return Value(info.name, _TORCH_NAMES.get(dtype, dtype), dims)


_TORCH_NAMES = {"float": "float32", "double": "float64"}


def _dim(dim: Any) -> int | str | None:
    if dim.HasField("dim_value"):
        return int(dim.dim_value)
    return str(dim.dim_param) if dim.dim_param else None


def constants(folder: Path, manifest: Manifest) -> Iterator[tuple[str, Array]]:
    """Initializers and Constant nodes, those of subgraphs and functions included."""
    import onnx

    model = onnx.load(folder / manifest.entry)
    yield from _graph_constants(model.graph)
    for function in model.functions:
        yield from _node_constants(function.node)


def _graph_constants(graph: onnx.GraphProto) -> Iterator[tuple[str, Array]]:
    from onnx import numpy_helper

    for tensor in graph.initializer:
        yield tensor.name, Array.of(numpy_helper.to_array(tensor))
    yield from _node_constants(graph.node)


def _node_constants(nodes: Any) -> Iterator[tuple[str, Array]]:
    from onnx import numpy_helper

    for node in nodes:
        for attribute in node.attribute:
            if attribute.HasField("t"):
                yield node.output[0], Array.of(numpy_helper.to_array(attribute.t))
            if attribute.HasField("g"):
                yield from _graph_constants(attribute.g)
            for graph in attribute.graphs:
                yield from _graph_constants(graph)


def inspect(path: Path) -> tuple[tuple[Value, ...], tuple[Value, ...], tuple[str, ...]]:
    """Names, dtypes and dims of a brought file, and where it keeps its weights. Raises `ValueError` for paths that leave it."""
    import onnx

    model = onnx.load(path, load_external_data=False)
    places = {entry.value for tensor in model.graph.initializer for entry in tensor.external_data if entry.key == "location"}
    for place in places:
        if Path(place).is_absolute() or ".." in Path(place).parts:
            raise ValueError(f"its weights lie outside its folder, at {place!r}")
    return (*_promise(path), tuple(sorted(places)))


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
