"""OpenVINO IR converted from the module itself (`openvino.convert_model(module,
example_input=...)`), which traces it.
"""

from __future__ import annotations

import warnings

from pytest_modelport.backends.export import Exported, ExportRequest, versions
from pytest_modelport.backends.formats import _openvino
from pytest_modelport.backends.kit import programs, torchscript_files

REQUIRES = {"torch": "torch", "openvino": "openvino>=2025.0"}
DEVICES = ("cpu",)
KIND = "openvino"
RUNTIME = "openvino"
EXTRA = "openvino"
SUFFIXES = (".xml",)
CALL = "named"
OPTIONS = _openvino.OPTIONS
constants, inspect = _openvino.constants, _openvino.inspect


def export(request: ExportRequest) -> Exported:
    """Convert behind flat tensors: OpenVINO names nothing. Dims that may vary are given to it, all
    others are fixed.
    """
    import openvino
    import torch

    module, args, _, _ = programs.arguments(request, "flat", str)
    shapes = [
        openvino.PartialShape(
            [
                -1 if axis in request.shapes.varying(item.name) else size
                for axis, size in enumerate(item.tensor.shape)
            ]
        )
        for item in request.inputs.tensors
    ]
    with warnings.catch_warnings(record=True) as caught, torch.no_grad():
        warnings.simplefilter("always")
        model = openvino.convert_model(module, example_input=args, input=shapes)
    _openvino.save(model, request.folder / _openvino.ENTRY, dict(request.options))
    inputs, outputs = programs.declared(request)
    return Exported(
        _openvino.ENTRY,
        "flat",
        inputs,
        outputs,
        {},
        versions("torch", "openvino"),
        torchscript_files.frozen(caught),
    )
