"""TorchScript by tracing (`torch.jit.trace`)."""

from __future__ import annotations

import warnings
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pytest_modelport import programs, tree
from pytest_modelport.artifact import Manifest, Value
from pytest_modelport.export import Exported, Request, versions
from pytest_modelport.wire import Array

REQUIRES = {"torch": "torch"}
DEVICES = ("cpu", "cuda")
KIND = "torchscript"
RUNTIME = "torch_jit"
EXTRA = ""
SUFFIXES = (".pt", ".ts", ".pth")
CALL = "natural"

_ENTRY = "model.pt"


def export(request: Request) -> Exported:
    """Trace once and save. What the tracer warned about is among the notes: each warning is a value frozen into the file."""
    import torch

    call = "natural" if _traceable(request) else "flat"
    module, args, kwargs, _ = programs.arguments(request, call, lambda value: value)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        with torch.no_grad():
            traced = torch.jit.trace(
                module,
                None if kwargs else args,
                example_kwarg_inputs=kwargs or None,
                strict=False,
                check_trace=False,
            )
        torch.jit.save(traced, request.folder / _ENTRY)
    frozen = tuple(dict.fromkeys(_frozen(item) for item in caught if item.category.__name__ == "TracerWarning"))
    inputs = tuple(request.value(item.name, (None,) * item.tensor.dim()) for item in request.inputs.tensors)
    outputs = tuple(Value(name, "") for name in request.outputs)
    return Exported(_ENTRY, call, inputs, outputs, {}, versions("torch"), (*programs.notes(call), *frozen))


def _traceable(request: Request) -> bool:
    """Whether the tracer carries these inputs and outputs itself: tensors and shallow tuples, lists and dicts of them.

    It takes positional or keyword arguments, not both.
    """
    sample = request.inputs.sample
    return (
        not (sample.args and sample.kwargs)
        and all(_shallow(child) for child in request.inputs.spec[1][0][1])
        and all(_shallow(child) for _, child in request.inputs.spec[1][1][1])
        and _shallow(request.output_spec)
    )


def _shallow(spec: tree.Spec) -> bool:
    if spec[0] in ("tuple", "list"):
        return bool(spec[1]) and all(child[0] == "leaf" for child in spec[1])
    if spec[0] == "dict":
        return bool(spec[1]) and all(child[0] == "leaf" for _, child in spec[1])
    return bool(spec[0] == "leaf")


def _frozen(warning: warnings.WarningMessage) -> str:
    text = str(warning.message).partition(". ")[0].strip().splitlines()[0]
    return f"traced at {warning.filename}:{warning.lineno}: {text}"


def constants(folder: Path, manifest: Manifest) -> Iterator[tuple[str, Array]]:
    """Parameters, buffers and attributes, and the constants of the graph itself."""
    import torch

    from pytest_modelport.tensors import to_array

    module: Any = torch.jit.load(folder / manifest.entry)
    for name, value in module.state_dict(keep_vars=True).items():
        yield name, to_array(value)
    graph = module.inlined_graph  # its nodes live only as long as it does
    for node in graph.findAllNodes("prim::Constant"):
        if node.hasAttribute("value") and node.kindOf("value") == "t":
            yield node.output().debugName(), to_array(node.t("value"))


def inspect(path: Path) -> tuple[tuple[Value, ...], tuple[Value, ...], tuple[str, ...]]:
    """A torch file says nothing without being loaded, which only the clean room does."""
    if not zipfile.is_zipfile(path):
        raise ValueError(f"{path.name} is not an archive that torch has written")
    return (), (), ()
