"""torch.export's .pt2 files, opened with `torch.export.load` and run eagerly."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

from pytest_modelport.artifact import Manifest
from pytest_modelport.feed import Feed
from pytest_modelport.signature import Signature
from pytest_modelport.torchcall import TorchSession, traced

REQUIRES = {"torch": "torch"}
DEVICES = ("cpu", "cuda")
OPENS = "exported_program"
PRELOAD = ("torch.export.pt2_archive",)  # what torch.export.load imports
EXTRA = ""


def open(folder: Path, manifest: Manifest, device: str, threads: int) -> TorchSession:
    """Load the program; it runs where its tensors were saved. Raises what torch raises."""
    import torch

    program = torch.export.load(folder / manifest.entry)
    return TorchSession(program.module(), manifest, device, threads)


def trace(
    folder: Path, manifest: Manifest, device: str, threads: int, feeds: list[tuple[Feed, int]], seed: Callable[[int], None]
) -> Iterator[Signature]:
    """Every value the program computes for the last feed, after the feeds before it."""
    return traced(open(folder, manifest, device, threads), feeds, seed)
