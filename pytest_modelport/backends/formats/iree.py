"""IREE: an exported program, imported with iree-turbine and compiled for this host's CPU."""

from __future__ import annotations

from typing import Any

from pytest_modelport.backends.export import Exported, ExportRequest, versions
from pytest_modelport.backends.kit import iree_files, programs

REQUIRES = {"torch": "torch", "iree.turbine": "iree-turbine>=3.6", **iree_files.REQUIRES}
DEVICES = ("cpu",)
KIND = "iree"
RUNTIME = "iree"
EXTRA = "iree"
SUFFIXES = (".vmfb",)
#: A file is machine code for the device.
PROGRAM = True
CALL = "named"
_ENTRY = "model.vmfb"
inspect, warm = programs.opaque, programs.warm
#: Weights are compiled into the module, which gives no way to read them.
constants = None


def export(request: ExportRequest) -> Exported:
    """Export behind flat tensors and compile."""
    from iree.turbine import aot

    program = programs.flat_program(request)
    imported = request.folder / "model.mlir"
    if _needs_decomposing(program):
        program = program.run_decompositions()
    aot.export(program).save_mlir(str(imported))
    iree_files.compile_to(imported, request.folder / _ENTRY, "auto")
    imported.unlink()
    promise = programs.promise(program, request)
    return Exported(
        _ENTRY,
        "flat",
        *promise,
        versions("torch", "iree-turbine", "iree-base-compiler"),
        (programs.UNREADABLE,),
    )


def _needs_decomposing(program: Any) -> bool:
    """Whether it works in place, which does not import, or has a PReLU, which by channels comes out
    wrong. Others are better off as they are: decomposed, a batch normalisation does not import.
    """
    called = [node.target for node in program.graph.nodes if node.op == "call_function"]
    schemas = [target._schema for target in called if hasattr(target, "_schema")]
    return any(schema.is_mutable or "prelu" in schema.name for schema in schemas)
