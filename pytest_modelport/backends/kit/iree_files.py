"""IREE's compiler, for this host's CPU. Shared by the format and the runtime."""

from __future__ import annotations

from pathlib import Path

from pytest_modelport.backends.kit.converters import why

REQUIRES = {"iree.compiler": "iree-base-compiler>=3.6", "iree.runtime": "iree-base-runtime>=3.6"}
_FLAGS = (
    "--iree-hal-target-device=local",
    "--iree-hal-local-target-device-backends=llvm-cpu",
    "--iree-llvmcpu-target-cpu=host",
)


def compile_to(source: Path, module: Path, kind: str) -> None:
    """Compile MLIR to a module. kind: what the MLIR came from. Raises `RuntimeError` with the
    compiler's word.
    """
    from iree.compiler import tools

    try:
        tools.compile_file(
            str(source), output_file=str(module), input_type=kind, extra_args=list(_FLAGS)
        )
    except tools.CompilerToolError as error:
        said = str(error).rpartition("Diagnostics:")[2]
        raise RuntimeError(f"IREE cannot compile it: {why(said)}") from None
