"""TorchScript files, opened with `torch.jit.load`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

from pytest_modelport.backends.kit import torchscript_files
from pytest_modelport.backends.kit.torch_session import TorchSession, traced
from pytest_modelport.backends.session_options import SessionOptions
from pytest_modelport.core.artifact import Manifest
from pytest_modelport.core.feed import Feed
from pytest_modelport.core.tensor_stats import TensorStats

REQUIRES = {"torch": "torch"}
DEVICES = ("cpu", "cuda")
OPENS = ("torchscript",)
EXTRA = ""


def open(folder: Path, manifest: Manifest, session_options: SessionOptions) -> TorchSession:
    """Load onto `device`. Raises what torch raises, and `RuntimeError` where it cannot read back
    what its own optimisation saved.
    """
    try:
        module = torchscript_files.load(folder / manifest.entry, session_options.device)
    except RuntimeError as error:
        if not manifest.options.get("optimize"):
            raise
        said = str(error).strip().partition("\n")[0]
        raise RuntimeError(
            f"torch cannot read back what torch.jit.optimize_for_inference saved ({said}): "
            "optimise after loading, and export with freeze=true"
        ) from None
    return TorchSession(module, manifest, session_options)


def trace(
    folder: Path,
    manifest: Manifest,
    session_options: SessionOptions,
    feeds: list[tuple[Feed, int]],
    seed: Callable[[int], None],
) -> Iterator[TensorStats]:
    """Every value the module computes for the last feed, after the feeds before it."""
    return traced(open(folder, manifest, session_options), feeds, seed)
