"""TVM: an exported program, compiled by Relax to a shared library for this host's CPU."""

from __future__ import annotations

from pytest_modelport.backends.export import Exported, ExportRequest, versions
from pytest_modelport.backends.kit import programs
from pytest_modelport.backends.kit.torch_session import compiler

REQUIRES = {"torch": "torch", "tvm": "apache-tvm>=0.20"}
DEVICES = ("cpu",)
KIND = "tvm"
RUNTIME = "tvm"
EXTRA = "tvm"
SUFFIXES = (".so",)
#: A file is a library of machine code.
PROGRAM = True
CALL = "named"
_ENTRY = "model.so"
inspect, warm = programs.opaque, programs.warm
#: Weights are compiled into the library, which gives no way to read them.
constants = None


def export(request: ExportRequest) -> Exported:
    """Export behind flat tensors and compile."""
    import tvm
    from tvm.relax.frontend.torch import from_exported_program

    program = programs.flat_program(request)
    executable = tvm.compile(from_exported_program(program), target=tvm.target.Target("llvm"))
    executable.export_library(str(request.folder / _ENTRY))
    return Exported(
        _ENTRY,
        "flat",
        *programs.promise(program, request),
        versions("torch", "apache-tvm"),
        (programs.UNREADABLE,),
    )


def absent(options: object) -> str:  # noqa: ARG001
    """The compiler that links the library, where there is none."""
    return compiler()
