"""IREE's compiler, for this host's CPU. Shared by the format and the runtime."""

from __future__ import annotations

from pathlib import Path

REQUIRES = {"iree.compiler": "iree-base-compiler>=3.6", "iree.runtime": "iree-base-runtime>=3.6"}
_FLAGS = (
    "--iree-hal-target-device=local",
    "--iree-hal-local-target-device-backends=llvm-cpu",
    "--iree-llvmcpu-target-cpu=host",
)


def compile_to(source: Path, module: Path, kind: str) -> None:
    """Compile MLIR to a module. kind: what the MLIR came from. Raises `RuntimeError` with the compiler's word."""
    from iree.compiler import tools

    try:
        tools.compile_file(str(source), output_file=str(module), input_type=kind, extra_args=list(_FLAGS))
    except tools.CompilerToolError as error:
        raise RuntimeError(f"IREE cannot compile it: {said(str(error))}") from None


def said(text: str) -> str:
    """The first error in a tool's output."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return next(
        (line.partition("error:")[2].strip() for line in lines if "error:" in line), lines[-1] if lines else "no reason"
    )
