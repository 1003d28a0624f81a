"""Ways to break an ONNX file a little. Each takes a copy of the model and a random generator,
changes it and says what it did.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator

import numpy as np
import onnx
from onnx import helper, numpy_helper

Change = Callable[[onnx.ModelProto], None]
#: What it is, and the function that does it.
Mutation = tuple[str, Change]

_SWAPS = {
    "Add": "Sub",
    "Sub": "Add",
    "Mul": "Div",
    "Div": "Mul",
    "Relu": "Abs",
    "Sigmoid": "Tanh",
    "Tanh": "Sigmoid",
    "Erf": "Tanh",
}
_SWAPS |= {"Sqrt": "Abs", "Max": "Min", "Min": "Max", "Softmax": "LogSoftmax"}
_DROPPED = {"Relu", "Gelu", "Tanh", "Sigmoid", "LayerNormalization", "Softmax", "Erf", "Neg"}
_FEW = 5


def mutations(model: onnx.ModelProto, generator: random.Random) -> dict[str, list[Mutation]]:
    """Up to five mutations of each kind that this graph has a place for."""
    kinds = {
        "epsilon": [*_epsilons(model)],
        "gelu": [*_gelus(model)],
        "swapped op": [*_swaps(model)],
        "dropped op": [*_drops(model)],
        "softmax axis": [*_axes(model)],
        "conv pads": [*_pads(model)],
        "tensor +1 %": [*_weights(model, lambda values: values * values.dtype.type(1.01))],
        "one element +1 %": [*_weights(model, lambda values: _one(values, generator))],
        "through fp16": [
            *_weights(model, lambda values: values.astype(np.float16).astype(values.dtype))
        ],
        "noise 1e-6": [*_weights(model, lambda values: _noisy(values, generator))],
        "dropped bias": [*_weights(model, np.zeros_like, rank=1)],
    }
    return {
        kind: generator.sample(found, min(_FEW, len(found)))
        for kind, found in kinds.items()
        if found
    }


def _nodes(model: onnx.ModelProto, *types: str) -> Iterator[tuple[int, onnx.NodeProto]]:
    return ((number, node) for number, node in enumerate(model.graph.node) if node.op_type in types)


def _set(number: int, name: str, value: object) -> Change:
    def change(model: onnx.ModelProto) -> None:
        node = model.graph.node[number]
        kept = [attribute for attribute in node.attribute if attribute.name != name]
        del node.attribute[:]
        node.attribute.extend([*kept, helper.make_attribute(name, value)])

    return change


def _attribute(node: onnx.NodeProto, name: str, default: object) -> object:
    return next(
        (helper.get_attribute_value(item) for item in node.attribute if item.name == name), default
    )


def _epsilons(model: onnx.ModelProto) -> Iterator[Mutation]:
    for number, node in _nodes(
        model, "LayerNormalization", "BatchNormalization", "RMSNormalization"
    ):
        for factor in (10.0, 0.1):
            value = float(_attribute(node, "epsilon", 1e-5)) * factor  # type: ignore[arg-type]
            yield f"epsilon {value:g} in {node.name}", _set(number, "epsilon", value)
    for number, tensor in enumerate(model.graph.initializer):
        values = numpy_helper.to_array(tensor)
        if (
            values.size == 1
            and values.dtype.kind == "f"
            and 0 < float(values.reshape(-1)[0]) < 1e-3
        ):
            for factor in (10.0, 0.1):
                yield (
                    f"{tensor.name} x {factor}",
                    _replace(number, values * values.dtype.type(factor)),
                )


def _gelus(model: onnx.ModelProto) -> Iterator[Mutation]:
    for number, node in _nodes(model, "Gelu"):
        other = "none" if _attribute(node, "approximate", b"none") == b"tanh" else "tanh"
        yield f"{node.name} by {other}", _set(number, "approximate", other)


def _swaps(model: onnx.ModelProto) -> Iterator[Mutation]:
    floats = _floats(model)
    for number, node in _nodes(model, *_SWAPS):
        if node.output[0] in floats:
            yield f"{node.name}: {_SWAPS[node.op_type]}", _typed(number, _SWAPS[node.op_type])


def _typed(number: int, kind: str) -> Change:
    def change(model: onnx.ModelProto) -> None:
        model.graph.node[number].op_type = kind

    return change


def _drops(model: onnx.ModelProto) -> Iterator[Mutation]:
    for number, node in _nodes(model, *_DROPPED):

        def change(copy: onnx.ModelProto, number: int = number) -> None:
            node = copy.graph.node[number]
            node.op_type = "Identity"
            del node.attribute[:]
            del node.input[1:]
            del node.output[1:]

        yield f"without {node.name}", change


def _axes(model: onnx.ModelProto) -> Iterator[Mutation]:
    for number, node in _nodes(model, "Softmax", "LogSoftmax"):
        axis = int(_attribute(node, "axis", -1))  # type: ignore[call-overload]
        yield f"{node.name} along {axis - 1}", _set(number, "axis", axis - 1)


def _pads(model: onnx.ModelProto) -> Iterator[Mutation]:
    for number, node in _nodes(model, "Conv"):
        pads = [int(value) for value in _attribute(node, "pads", [])]  # type: ignore[attr-defined]
        half = len(pads) // 2
        if any(pads):
            shifted = [0] * half + [pads[axis] + pads[axis + half] for axis in range(half)]
            yield f"{node.name} padded at the end", _set(number, "pads", shifted)


def _weights(
    model: onnx.ModelProto, change: Callable[[np.ndarray], np.ndarray], rank: int = 0
) -> Iterator[Mutation]:
    for number, tensor in enumerate(model.graph.initializer):
        values = numpy_helper.to_array(tensor)
        if values.dtype.kind == "f" and values.size > 3 and (not rank or values.ndim == rank):
            changed = change(values)
            if not np.array_equal(changed, values):
                yield tensor.name, _replace(number, changed)


def _replace(number: int, values: np.ndarray) -> Change:
    def change(model: onnx.ModelProto) -> None:
        model.graph.initializer[number].CopyFrom(
            numpy_helper.from_array(values, model.graph.initializer[number].name)
        )

    return change


def _one(values: np.ndarray, generator: random.Random) -> np.ndarray:
    """One element that is not small, 1 % larger."""
    flat = values.reshape(-1).copy()
    large = np.flatnonzero(np.abs(flat) >= np.median(np.abs(flat)))
    at = generator.choice(large.tolist())
    flat[at] *= 1.01
    return flat.reshape(values.shape)


def _noisy(values: np.ndarray, generator: random.Random) -> np.ndarray:
    noise = np.random.default_rng(generator.getrandbits(32)).standard_normal(values.shape)
    return (values * (1 + 1e-6 * noise)).astype(values.dtype)


def _floats(model: onnx.ModelProto) -> set[str]:
    inferred = onnx.shape_inference.infer_shapes(model).graph
    infos = [*inferred.value_info, *inferred.output]
    return {
        info.name for info in infos if info.type.tensor_type.elem_type == onnx.TensorProto.FLOAT
    }
