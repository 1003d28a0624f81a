"""What an ONNX file says: its promise, its opset, every tensor it stores. Shared by the formats
that make ONNX files.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pytest_modelport.backends.export import ExportRequest
from pytest_modelport.core.arrays import Array
from pytest_modelport.core.artifact import Manifest, TensorSpec
from pytest_modelport.core.errors import WrongArtifact

if TYPE_CHECKING:
    import onnx

#: protobuf refuses messages of 2 GiB, so weights beyond this go into a file of their own.
EMBEDDED_BYTES = 1_500_000_000


def checked(
    path: Path, request: ExportRequest
) -> tuple[tuple[TensorSpec, ...], tuple[TensorSpec, ...]]:
    """Inputs and outputs of an exported file. Raises `WrongArtifact` when names or opset are not
    those asked for.
    """
    inputs, outputs = promise(path)
    names = tuple(value.name for value in outputs)
    if names != request.file_outputs:
        raise WrongArtifact(
            f"outputs are {', '.join(names)}; the model's are {', '.join(request.file_outputs)}"
        )
    wanted = request.options.get("opset")
    if wanted is not None and wanted != (made := opset(path)):
        raise WrongArtifact(f"the file has opset {made}; opset {wanted} was asked for")
    return inputs, named(outputs, request)


def named(outputs: tuple[TensorSpec, ...], request: ExportRequest) -> tuple[TensorSpec, ...]:
    """A file's outputs under the names that the model's have."""
    own = dict(zip(request.file_outputs, request.outputs, strict=True))
    return tuple(
        value
        if own.get(value.name, value.name) == value.name
        else replace(value, name=own[value.name], stored=value.name)
        for value in outputs
    )


def strip_value_info(path: Path) -> None:
    """Take the shapes of values inside out of a file: an exporter may leave some that hold for the
    sample only.
    """
    import onnx

    model = onnx.load(path, load_external_data=False)
    del model.graph.value_info[:]
    path.write_bytes(model.SerializeToString())


def strip_metadata(path: Path) -> None:
    """Take out of a file what the exporter notes on nodes and values: the lines and paths of the
    machine it was made on.
    """
    import onnx

    model = onnx.load(path, load_external_data=False)
    for graph in (model.graph, *model.functions):
        _strip(graph)
    path.write_bytes(model.SerializeToString())


def _strip(graph: Any) -> None:
    """One graph or function, and the graphs inside its nodes."""
    for part in (graph, *graph.node, *graph.value_info, *getattr(graph, "initializer", ())):
        del part.metadata_props[:]
        part.ClearField("doc_string")
    for value in (*getattr(graph, "input", ()), *getattr(graph, "output", ())):
        if hasattr(value, "metadata_props"):  # a function's are names
            del value.metadata_props[:]
    for node in graph.node:
        for attribute in node.attribute:
            for inner in (*attribute.graphs, *([attribute.g] if attribute.HasField("g") else [])):
                _strip(inner)


def opset(path: Path) -> int:
    """The version of ONNX's own operators that a file uses."""
    import onnx

    imports = onnx.load(path, load_external_data=False).opset_import
    return next(int(item.version) for item in imports if item.domain in ("", "ai.onnx"))


def promise(path: Path) -> tuple[tuple[TensorSpec, ...], tuple[TensorSpec, ...]]:
    """Inputs and outputs as the file's graph declares them."""
    import onnx

    graph = onnx.load(path, load_external_data=False).graph
    stored = {tensor.name for tensor in graph.initializer}
    return (
        tuple(_value(info) for info in graph.input if info.name not in stored),
        tuple(_value(info) for info in graph.output),
    )


def _value(info: onnx.ValueInfoProto) -> TensorSpec:
    import onnx

    optional = info.type.HasField("optional_type")
    tensor = (info.type.optional_type.elem_type if optional else info.type).tensor_type
    dtype = re.sub("^float8", "float8_", onnx.TensorProto.DataType.Name(tensor.elem_type).lower())
    dims = tuple(_dim(dim) for dim in tensor.shape.dim) if tensor.HasField("shape") else None
    if any(
        isinstance(text, bytes) for text in (info.name, *(dims or ()))
    ):  # protobuf's way to say that it is no UTF-8
        raise ValueError(f"a name in the file is not text: {info.name!r}")
    return TensorSpec(info.name, _TORCH_NAMES.get(dtype, dtype), dims, optional=optional)


_TORCH_NAMES = {"float": "float32", "double": "float64", "float8_e8m0": "float8_e8m0fnu"}


def _dim(dim: Any) -> int | str | None:
    if dim.HasField("dim_value"):
        return int(dim.dim_value) if dim.dim_value >= 0 else None  # as ONNX Runtime reads -1
    return dim.dim_param or None


def constants(folder: Path, manifest: Manifest) -> Iterator[tuple[str, Array]]:
    """Initializers and Constant nodes, those of subgraphs and functions included."""
    import onnx

    model = onnx.load(folder / manifest.entry)
    yield from _graph_constants(model.graph)
    for function in model.functions:
        yield from _node_constants(function.node)


#: Attributes that a model sets and that answers may hardly show.
_SETTINGS = ("epsilon", "approximate")


def settings(folder: Path, manifest: Manifest) -> Iterator[tuple[str, float | str]]:
    """What operators of a file are set to, with what and where: `epsilon of LayerNormalization
    'node_3'`; numbers that are added to a variance among them.
    """
    import onnx
    from onnx import numpy_helper

    graph = onnx.load(folder / manifest.entry, load_external_data=False).graph
    for node in graph.node:
        for attribute in node.attribute:
            if attribute.name in _SETTINGS:
                value = onnx.helper.get_attribute_value(attribute)
                said = f"{attribute.name} of {node.op_type} '{node.name}'"
                yield said, value.decode() if isinstance(value, bytes) else float(value)
    single = {
        tensor.name: float(numpy_helper.to_array(tensor).reshape(-1)[0])
        for tensor in graph.initializer
        if list(tensor.dims) in ([], [1]) and tensor.data_type == onnx.TensorProto.FLOAT
    }
    for node in graph.node:
        if node.op_type == "Add":
            yield from (
                (f"the number added in '{node.name}'", single[name])
                for name in node.input
                if _TINIEST < single.get(name, 0.0) < _SMALL
            )


#: An epsilon is a number between these.
_TINIEST, _SMALL = 1e-13, 1e-3
#: Operators that round values while a file runs.
_ROUNDING = {"QuantizeLinear", "DynamicQuantizeLinear", "MatMulInteger", "ConvInteger"}


def rounds_activations(folder: Path) -> bool:
    """Whether a file rounds values while it runs, and not only the weights that it stores."""
    import onnx

    found = {
        node.op_type
        for path in folder.glob("*.onnx")
        for node in onnx.load(path, load_external_data=False).graph.node
    }
    return bool(found & _ROUNDING) or any(name.startswith("QLinear") for name in found)


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


def inspect(path: Path) -> tuple[tuple[TensorSpec, ...], tuple[TensorSpec, ...], tuple[str, ...]]:
    """Names, dtypes and dims of a brought file, and where it keeps its weights. Raises `ValueError`
    for paths that leave it.
    """
    import onnx

    model = onnx.load(path, load_external_data=False)
    functions = (node for function in model.functions for node in function.node)
    places = {
        entry.value
        for tensor in (*_tensors(model.graph), *_attributes(functions))
        for entry in tensor.external_data
        if entry.key == "location"
    }
    for place in places:
        if Path(place).is_absolute() or ".." in Path(place).parts:
            raise ValueError(f"its weights lie outside its folder, at {place!r}")
    return (*promise(path), tuple(sorted(places)))


def _tensors(graph: onnx.GraphProto) -> Iterator[onnx.TensorProto]:
    """Every tensor that is stored in a graph: initializers, attributes, those of its subgraphs."""
    yield from graph.initializer
    for sparse in graph.sparse_initializer:
        yield from (sparse.values, sparse.indices)
    yield from _attributes(graph.node)


def _attributes(nodes: Iterable[onnx.NodeProto]) -> Iterator[onnx.TensorProto]:
    for node in nodes:
        for attribute in node.attribute:
            yield from (*attribute.tensors, attribute.t)
            for graph in (*attribute.graphs, attribute.g):
                yield from _tensors(graph)
