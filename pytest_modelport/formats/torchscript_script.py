"""TorchScript by compiling the source (`torch.jit.script`): control flow stays, and not all of Python can be said."""

from __future__ import annotations

from pytest_modelport import jitfile, programs
from pytest_modelport.export import Exported, Request, versions

REQUIRES = {"torch": "torch"}
DEVICES = ("cpu", "cuda")
KIND = "torchscript"
RUNTIME = "torch_jit"
EXTRA = ""
SUFFIXES = (".pt", ".ts", ".pth")
CALL = "natural"
OPTIONS = jitfile.OPTIONS

_ENTRY = "model.pt"
constants, inspect = jitfile.constants, jitfile.inspect


def export(request: Request) -> Exported:
    """Script and save. The file takes the module's own arguments, of any size."""
    import torch

    jitfile.save(torch.jit.script(request.module), request.folder / _ENTRY, request.options)
    return Exported(_ENTRY, CALL, *programs.unsized(request), {}, versions("torch"))
