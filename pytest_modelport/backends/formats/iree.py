"""IREE: an exported program, imported with iree-turbine and compiled for this host's CPU."""

from __future__ import annotations

from pytest_modelport.backends.export import Exported, ExportRequest, versions
from pytest_modelport.backends.kit import iree_files, programs

REQUIRES = {"torch": "torch", "iree.turbine": "iree-turbine>=3.6", **iree_files.REQUIRES}
DEVICES = ("cpu",)
KIND = "iree"
RUNTIME = "iree"
EXTRA = "iree"
SUFFIXES = (".vmfb",)
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
    # As it was exported, what works in place does not import and a PReLU by channels is wrong.
    aot.export(program.run_decompositions()).save_mlir(str(imported))
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
