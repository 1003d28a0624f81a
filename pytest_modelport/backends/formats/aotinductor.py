"""AOTInductor: an exported program compiled to a shared library
(`torch._inductor.aoti_compile_and_package`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pytest_modelport.backends.export import Exported, ExportRequest, versions
from pytest_modelport.backends.kit import programs, torchscript_files
from pytest_modelport.backends.kit.torch_session import compiler

REQUIRES = {"torch": "torch"}
DEVICES = ("cpu", "cuda")
KIND = "aotinductor"
RUNTIME = "aotinductor"
EXTRA = ""
SUFFIXES = (".pt2",)
#: A file is a library of machine code.
PROGRAM = True
CALL = "natural"
OPTIONS = {"freezing": bool, "max_autotune": bool}
_ENTRY = "model.pt2"
inspect, warm = torchscript_files.inspect, programs.warm
#: The weights are compiled into the library, which gives no way to read them.
constants = None


def export(request: ExportRequest) -> Exported:
    """Export and compile. Takes some seconds, the first time on a machine half a minute."""
    import torch
    from torch._inductor import config

    config.compile_threads = 1  # a pool of workers would outlive this process
    call = programs.call_style(request)
    module, args, kwargs, shapes = programs.arguments(request, call, programs.export_dim)
    with torch.no_grad():
        program = torch.export.export(module, args, kwargs, dynamic_shapes=shapes, strict=False)
        torch._inductor.aoti_compile_and_package(
            program,
            package_path=str(request.folder / _ENTRY),
            inductor_configs=dict(request.options),
        )
    inputs, outputs, ranges = programs.promise(program, request)
    return Exported(
        _ENTRY,
        call,
        inputs,
        outputs,
        ranges,
        versions("torch"),
        (*programs.notes(call), programs.UNREADABLE),
    )


def absent(options: Mapping[str, Any]) -> str:  # noqa: ARG001
    """The compiler, where there is none."""
    return compiler()
