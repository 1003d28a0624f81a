"""What the formats built on torch.export share: arguments, dynamic shapes, and the promise read off
a program.
"""

from __future__ import annotations

import contextlib
import importlib
import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pytest_modelport.backends.export import ExportRequest
from pytest_modelport.core import tree
from pytest_modelport.core.artifact import TensorSpec
from pytest_modelport.request.dynamic_shapes import multiple

if TYPE_CHECKING:
    import torch
    from torch import nn

Ranges = dict[str, tuple[int, int | None]]


def warm() -> None:
    """Import in the session what torch.export imports at its first use, a second's worth."""
    for module in ("torch.export.pt2_archive", "torch.export._trace"):
        with contextlib.suppress(
            ImportError
        ):  # another torch keeps it elsewhere: the fork imports it itself
            importlib.import_module(module)


def stripped(program: torch.export.ExportedProgram) -> None:
    """Take out of a program what it does not need: where its lines are on this machine, and what
    the example inputs hold.

    Not the inputs themselves: without them a program does not check its guards.
    """
    import torch

    for module in program.graph_module.modules():
        for node in getattr(module, "graph", program.graph).nodes:
            node.meta.pop("stack_trace", None)
    if program.example_inputs is not None:
        program.example_inputs = torch.utils._pytree.tree_map_only(
            torch.Tensor, torch.zeros_like, program.example_inputs
        )


def call_style(request: ExportRequest, kept: tuple[type, ...] = ()) -> str:
    """`natural` when plain containers of tensors hold all inputs and outputs, else `flat`.

    A clean room has none of the user's classes, and a program that returns a string does not load
    again. kept: Python values that one gives as it is called, a size among them.
    """
    plain = request.inputs.buildable and tree.buildable(request.output_spec)
    values = [value for value in request.output_constants.values() if value is not None]
    return "natural" if plain and all(isinstance(value, kept) for value in values) else "flat"


def live_style(request: ExportRequest) -> str:
    """As `call_style`, for ports that run with the user's classes: only inputs must be built from
    tensors.
    """
    return "natural" if request.inputs.buildable else "flat"


def unsized(request: ExportRequest) -> tuple[tuple[TensorSpec, ...], tuple[TensorSpec, ...]]:
    """The promise of a port that takes whatever sizes the subject takes: inputs and outputs."""
    inputs = tuple(
        request.value(item.name, (None,) * item.tensor.dim()) for item in request.inputs.tensors
    )
    return inputs, _unknown(request.outputs)


def flat_program(
    request: ExportRequest, most: Mapping[str, int] | None = None
) -> torch.export.ExportedProgram:
    """The subject behind flat tensors, exported: for formats that know their inputs and outputs by
    position. most: how large a dim may be, by name.
    """
    import torch

    module, args, kwargs, shapes = arguments(request, "flat", lambda dim: export_dim(dim, most))
    with torch.no_grad():
        return torch.export.export(module, args, kwargs, dynamic_shapes=shapes, strict=False)


def declared(request: ExportRequest) -> tuple[tuple[TensorSpec, ...], tuple[TensorSpec, ...]]:
    """The promise of a port whose file is not read back: the sample's sizes, and names for those
    that were to vary.
    """
    inputs = []
    for item in request.inputs.tensors:
        names = request.shapes.varying(item.name)
        inputs.append(
            request.value(
                item.name,
                tuple(names.get(axis, size) for axis, size in enumerate(item.tensor.shape)),
            )
        )
    return tuple(inputs), _unknown(request.outputs)


def beside(
    path: Path, *patterns: str
) -> tuple[tuple[TensorSpec, ...], tuple[TensorSpec, ...], tuple[str, ...]]:
    """What a file says that its own runtime alone can read, nothing, and which files belong to it:
    patterns from its folder.
    """
    files = {file for pattern in patterns for file in path.parent.glob(pattern) if file.is_file()}
    return (), (), tuple(sorted(str(file.relative_to(path.parent)) for file in files))


def opaque(path: Path) -> tuple[tuple[TensorSpec, ...], tuple[TensorSpec, ...], tuple[str, ...]]:  # noqa: ARG001
    """What a file says that nothing but its own runtime can read: nothing."""
    return (), (), ()


#: A note for formats without a way to read weights back.
UNREADABLE = "its weights are compiled in and cannot be read back: only parity covers them"


def notes(call: str) -> tuple[str, ...]:
    """What a reader should know about the call style."""
    if call != "flat":
        return ()
    return ("exported with flat tensors: a file cannot hold the objects it takes or returns",)


def export_dim(value: Any, most: Mapping[str, int] | None = None) -> Any:
    """One dim for torch.export: a string is a dim that must be dynamic. most: how large one may be,
    by name.
    """
    import torch

    if not isinstance(value, str):
        return value
    factor, name = multiple(value)
    highest = (most or {}).get(name)
    if factor > 1:
        return factor * torch.export.Dim(name, max=highest)
    dynamic = torch.export.Dim.DYNAMIC
    return dynamic if highest is None else dynamic(max=highest)


def nests_tuples(request: ExportRequest) -> bool:
    """Whether an input is a tuple of tensors, or holds one."""

    def holds(spec: tree.Spec) -> bool:
        if spec[0] not in ("list", "tuple", "dict"):
            return False
        inner = [child[1] for child in spec[1]] if spec[0] == "dict" else spec[1]
        return spec[0] == "tuple" or any(map(holds, inner))

    positional, keyword = request.inputs.spec[1]
    return any(map(holds, positional[1])) or any(holds(child) for _, child in keyword[1])


def arguments(
    request: ExportRequest, call: str, dim: Callable[[Any], Any]
) -> tuple[nn.Module, tuple[Any, ...], dict[str, Any], Any]:
    """Module, args, kwargs and dynamic_shapes for `torch.export.export` and what wraps it."""
    from pytest_modelport.core.tensors import fresh
    from pytest_modelport.subject.flat import FlatModule

    sample = fresh(request.inputs.sample, request.device)
    specs = {
        item.name: {
            axis: dim(value) for axis, value in request.shapes.axes.get(item.name, {}).items()
        }
        or None
        for item in request.inputs.tensors
    }
    if call == "flat":
        tensors = tuple(item.tensor for item in _placed(request, sample))
        return (
            FlatModule(request.module, sample, request.outputs),
            tensors,
            {},
            (tuple(specs.values()),) if request.shapes.axes else None,
        )
    return (
        request.module,
        sample.args,
        dict(sample.kwargs),
        _nested(request, specs) if request.shapes.axes else None,
    )


def _placed(request: ExportRequest, sample: Any) -> Any:
    from pytest_modelport.subject.inputs import name_inputs

    return name_inputs(request.module, sample).tensors


def _nested(request: ExportRequest, specs: Mapping[str, Any]) -> dict[str, Any]:
    """The specs nested as the inputs are: by parameter name, torch.export's own form."""
    names = iter(specs)
    sample = request.inputs.sample

    def shape(spec: tree.Spec) -> Any:
        kind = spec[0]
        if kind == "leaf":
            return specs[next(names)]
        if kind == "dict":
            return {key: shape(child) for key, child in spec[1]}
        if kind in ("list", "tuple"):
            children = [shape(child) for child in spec[1]]
            return tuple(children) if kind == "tuple" else children
        return None

    positional, keyword = shape(request.inputs.spec)
    result: dict[str, Any] = {}
    for path, value in zip(request.inputs.positional, positional, strict=True):
        if len(path) == 1:
            result[path[0]] = value
        else:  # *args: all under the one name
            result[path[0]] = (*result.get(path[0], ()), value)
    return {**result, **dict(zip(sample.kwargs, keyword.values(), strict=True))}


def promise(
    program: torch.export.ExportedProgram, request: ExportRequest
) -> tuple[tuple[TensorSpec, ...], tuple[TensorSpec, ...], Ranges]:
    """Inputs, outputs and ranges of dims as the program's signature has them."""
    import torch

    nodes = {node.name: node for node in program.graph.nodes}
    signature = program.graph_signature
    given = [
        nodes[name].meta.get("val")
        for name in signature.user_inputs
        if isinstance(name, str) and name in nodes
    ]
    given = [value for value in given if isinstance(value, torch.Tensor)]
    made = [
        nodes[name].meta.get("val")
        for name in signature.user_outputs
        if isinstance(name, str) and name in nodes
    ]
    made = [value for value in made if isinstance(value, torch.Tensor)]
    names = [item.name for item in request.inputs.tensors]
    inputs = (
        _promised(names, given)
        if len(given) == len(names)
        else tuple(request.value(name) for name in names)
    )
    outputs = (
        _promised(request.outputs, made)
        if len(made) == len(request.outputs)
        else _unknown(request.outputs)
    )
    return inputs, outputs, ranges(program)


def _promised(names: Any, values: list[Any]) -> tuple[TensorSpec, ...]:
    from pytest_modelport.core.tensors import dtype_name

    pairs = zip(names, values, strict=True)
    return tuple(
        TensorSpec(name, dtype_name(value.dtype), tuple(map(_size, value.shape)))
        for name, value in pairs
    )


def _size(size: Any) -> int | str:
    """A dim that was to vary and was fixed while it was traced is still a symbol to torch, with a
    number for a name.
    """
    return int(str(size)) if str(size).isdigit() else str(size)


def _unknown(names: tuple[str, ...]) -> tuple[TensorSpec, ...]:
    return tuple(TensorSpec(name, "") for name in names)


def ranges(program: torch.export.ExportedProgram) -> Ranges:
    """Symbol -> [lowest, highest or None]."""
    found: Ranges = {}
    for symbol, bounds in program.range_constraints.items():
        lower, upper = float(bounds.lower), float(bounds.upper)
        if lower >= 0:  # a symbol that is no dim (a value read from a tensor) may be anything
            found[str(symbol)] = (
                int(lower),
                int(upper) if math.isfinite(upper) and upper < 2**62 else None,
            )
    return found
