"""torch.export's .pt2 files, opened with `torch.export.load` and run eagerly."""

from __future__ import annotations

from pathlib import Path

from pytest_modelport.artifact import Manifest
from pytest_modelport.torchcall import TorchSession

REQUIRES = {"torch": "torch"}
DEVICES = ("cpu", "cuda")
OPENS = "exported_program"
EXTRA = ""


def open(folder: Path, manifest: Manifest, device: str, threads: int) -> TorchSession:
    """Load the program; it runs where its tensors were saved. Raises what torch raises."""
    import torch

    program = torch.export.load(folder / manifest.entry)
    return TorchSession(program.module(), manifest, device, threads)
