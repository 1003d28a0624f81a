"""MindSpore's MindIR, which no exporter makes from a PyTorch model: give the file, written by hand
or by a tool, as `artifact=`.
"""

from __future__ import annotations

from typing import NoReturn

from pytest_modelport.backends.export import ExportRequest
from pytest_modelport.backends.kit import programs

REQUIRES = {"torch": "torch"}
DEVICES = ("cpu",)
KIND = "mindspore"
RUNTIME = "mindspore"
EXTRA = ""
SUFFIXES = (".mindir",)
#: A file is a graph of operators, some of which load libraries.
PROGRAM = True
CALL = "named"
inspect = programs.opaque
#: A file is read by MindSpore alone.
constants = None


class NoImporter(Exception):
    """There is no way from PyTorch to this format."""


def export(request: ExportRequest) -> NoReturn:  # noqa: ARG001
    """Raises `NoImporter`."""
    raise NoImporter(
        "MindSpore imports no PyTorch model: give the file that you ship, artifact='model.mindir'"
    )
