"""OpenVINO IR converted from an exported program."""

from __future__ import annotations

from pytest_modelport import openvinofile, programs
from pytest_modelport.export import Exported, Request, versions

REQUIRES = {"torch": "torch", "openvino": "openvino>=2025.0"}
DEVICES = ("cpu",)
KIND = "openvino"
RUNTIME = "openvino"
EXTRA = "openvino"
SUFFIXES = (".xml",)
CALL = "named"
OPTIONS = openvinofile.OPTIONS

constants, inspect, warm = openvinofile.constants, openvinofile.inspect, programs.warm


def export(request: Request) -> Exported:
    """Export behind flat tensors, convert, save."""
    import openvino

    program = programs.flat_program(request)
    openvinofile.save(openvino.convert_model(program), request.folder / openvinofile.ENTRY, dict(request.options))
    return Exported(openvinofile.ENTRY, "flat", *programs.promise(program, request), versions("torch", "openvino"))
