"""MindSpore's MindIR, which nothing makes from a PyTorch model: a file that was written by hand or by a tool is proven."""

from __future__ import annotations

from typing import NoReturn

from pytest_modelport import programs
from pytest_modelport.export import Request

REQUIRES = {"torch": "torch"}
DEVICES = ("cpu",)
KIND = "mindspore"
RUNTIME = "mindspore"
EXTRA = ""
SUFFIXES = (".mindir",)
CALL = "named"

inspect = programs.opaque
#: A file is read by MindSpore alone.
constants = None


class NoImporter(Exception):
    """There is no way from PyTorch to this format."""


def export(request: Request) -> NoReturn:  # noqa: ARG001
    """Raises `NoImporter`."""
    raise NoImporter("MindSpore imports no PyTorch model: bring the file that you ship, artifact='model.mindir'")
