"""TorchScript files, opened with `torch.jit.load`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

from pytest_modelport import jitfile
from pytest_modelport.artifact import Manifest
from pytest_modelport.feed import Feed
from pytest_modelport.setting import Setting
from pytest_modelport.signature import Signature
from pytest_modelport.torchcall import TorchSession, traced

REQUIRES = {"torch": "torch"}
DEVICES = ("cpu", "cuda")
OPENS = ("torchscript",)
EXTRA = ""


def open(folder: Path, manifest: Manifest, setting: Setting) -> TorchSession:
    """Load onto `device`. Raises what torch raises."""
    return TorchSession(jitfile.load(folder / manifest.entry, setting.device), manifest, setting)


def trace(
    folder: Path, manifest: Manifest, setting: Setting, feeds: list[tuple[Feed, int]], seed: Callable[[int], None]
) -> Iterator[Signature]:
    """Every value the module computes for the last feed, after the feeds before it."""
    return traced(open(folder, manifest, setting), feeds, seed)
