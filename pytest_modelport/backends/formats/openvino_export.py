"""OpenVINO IR converted from an exported program."""

from __future__ import annotations

from pytest_modelport.backends.export import Exported, ExportRequest, versions
from pytest_modelport.backends.formats import _openvino
from pytest_modelport.backends.kit import programs

REQUIRES = {"torch": "torch", "openvino": "openvino>=2025.0"}
DEVICES = ("cpu",)
KIND = "openvino"
RUNTIME = "openvino"
EXTRA = "openvino"
SUFFIXES = (".xml",)
CALL = "named"
OPTIONS = _openvino.OPTIONS
constants, inspect, warm = _openvino.constants, _openvino.inspect, programs.warm


def export(request: ExportRequest) -> Exported:
    """Export behind flat tensors, convert, save."""
    import openvino

    program = programs.flat_program(request)
    _openvino.save(
        openvino.convert_model(program), request.folder / _openvino.ENTRY, dict(request.options)
    )
    return Exported(
        _openvino.ENTRY, "flat", *programs.promise(program, request), versions("torch", "openvino")
    )
