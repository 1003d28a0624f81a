"""TorchScript by compiling the source (`torch.jit.script`): control flow is kept; only a part of
Python is supported.
"""

from __future__ import annotations

from pytest_modelport.backends.export import Exported, ExportRequest, versions
from pytest_modelport.backends.kit import programs, torchscript_files

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
    """Script and save. The file takes the module's own arguments, of any size."""
    import torch

    torchscript_files.save(
        torch.jit.script(request.module), request.folder / _ENTRY, request.options
    )
    return Exported(_ENTRY, CALL, *programs.unsized(request), {}, versions("torch"))
