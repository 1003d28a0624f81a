"""TorchScript by tracing (`torch.jit.trace`)."""

from __future__ import annotations

import warnings

from pytest_modelport.backends.export import Exported, ExportRequest, versions
from pytest_modelport.backends.kit import programs, torchscript_files
from pytest_modelport.core import tree

REQUIRES = {"torch": "torch"}
DEVICES = ("cpu", "cuda")
KIND = "torchscript"
RUNTIME = "torch_jit"
EXTRA = ""
SUFFIXES = (".pt", ".ts", ".pth")
CALL = "natural"
OPTIONS = torchscript_files.OPTIONS
_ENTRY = "model.pt"
constants, inspect = torchscript_files.constants, torchscript_files.inspect


def export(request: ExportRequest) -> Exported:
    """Trace once and save. What the tracer warned about is among the notes: each warning is a value
    frozen into the file.
    """
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
                _store_inputs=False,
            )
        torchscript_files.save(traced, request.folder / _ENTRY, request.options)
    return Exported(
        _ENTRY,
        call,
        *programs.unsized(request),
        {},
        versions("torch"),
        (*programs.notes(call), *torchscript_files.frozen(caught)),
    )


def _traceable(request: ExportRequest) -> bool:
    """Whether the tracer carries these inputs and outputs itself: tensors and shallow tuples, lists
    and dicts of them.

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
