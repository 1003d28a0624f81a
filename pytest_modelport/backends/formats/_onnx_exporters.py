"""torch's two ONNX exporters, as the routes ask for them. Shared by the formats that are ONNX files
or are made from one.
"""

from __future__ import annotations

import warnings
from pathlib import Path

from pytest_modelport.backends.export import ExportRequest
from pytest_modelport.backends.kit import onnx_files, programs, torchscript_files


def chosen(request: ExportRequest, path: Path) -> tuple[str, ...]:
    """Write a file with the exporter that the route names (`exporter=legacy`), else with the
    current one. Returns notes.
    """
    return (legacy if request.options.get("exporter") == "legacy" else dynamo)(request, path)


def dynamo(request: ExportRequest, path: Path) -> tuple[str, ...]:
    """Write a file with the current exporter. Returns notes for a reader. Raises `ValueError` where
    there is nothing for it to answer.
    """
    import torch

    _hold_tensors(request)
    call = programs.call_style(request)
    # Names of dims make lists of the tuples that inputs are nested in, which torch then refuses.
    dim = programs.export_dim if programs.nests_tuples(request) else lambda value: value
    module, args, kwargs, shapes = programs.arguments(request, call, dim)
    if args and isinstance(args[-1], dict) and not kwargs:
        args = (*args, {})  # torch.onnx.export takes a dict that comes last for keyword arguments
    weights = sum(
        tensor.numel() * tensor.element_size()
        for tensor in module.state_dict().values()
        if hasattr(tensor, "numel")
    )
    torch.onnx.export(
        module,
        args,
        str(path),
        kwargs=kwargs,
        dynamo=True,
        input_names=[item.name for item in request.inputs.tensors],
        output_names=list(request.file_outputs),
        dynamic_shapes=shapes,
        opset_version=request.options.get("opset"),
        optimize=request.options.get("optimize", True),
        external_data=request.options.get("external_data", weights > onnx_files.EMBEDDED_BYTES),
        verbose=False,
    )
    if not request.options.get("debug"):
        onnx_files.strip_metadata(path)
    return (*programs.notes(call), *_renamed(request))


def legacy(request: ExportRequest, path: Path) -> tuple[str, ...]:
    """Write a file with the former exporter, which traces, behind flat tensors: it would name what
    it finds inside.

    Returns notes for a reader: what was frozen. Raises `ValueError` as above.
    """
    import torch

    _hold_tensors(request)
    module, args, _, _ = programs.arguments(request, "flat", str)
    axes = {name: request.shapes.varying(name) for name in request.shapes.axes}
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        torch.onnx.export(
            module,
            args,
            str(path),
            dynamo=False,
            input_names=[item.name for item in request.inputs.tensors],
            output_names=list(request.file_outputs),
            dynamic_axes=axes if request.shapes.dynamic else None,
            opset_version=request.options.get("opset"),
            do_constant_folding=request.options.get("constant_folding", True),
            training=torch.onnx.TrainingMode.PRESERVE,
        )
    return (*torchscript_files.frozen(caught), *_renamed(request))


def _hold_tensors(request: ExportRequest) -> None:
    if not request.outputs:
        raise ValueError("the model returns no tensors, and an ONNX file gives nothing else")


def _renamed(request: ExportRequest) -> tuple[str, ...]:
    """A note on outputs that have an input's name, which no ONNX file can give both."""
    pairs = zip(request.outputs, request.file_outputs, strict=True)
    others = [f"{name} is {own}" for name, own in pairs if name != own]
    return (f"in the file output {', '.join(others)}: an input has its name",) if others else ()
