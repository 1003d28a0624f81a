"""torch.export's .pt2 files, opened with `torch.export.load` and run eagerly."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable, Iterator
from pathlib import Path

from pytest_modelport.backends.kit.torch_session import TorchSession, traced
from pytest_modelport.backends.session_options import SessionOptions
from pytest_modelport.core.artifact import Manifest
from pytest_modelport.core.feed import Feed
from pytest_modelport.core.tensor_stats import TensorStats

REQUIRES = {"torch": "torch"}
DEVICES = ("cpu", "cuda")
OPENS = ("exported_program",)
PRELOAD = ("torch.export.pt2_archive",)  # what torch.export.load imports
EXTRA = ""


@contextlib.contextmanager
def _reasons() -> Iterator[list[BaseException]]:
    """The exceptions that torch.export logs instead of chaining them."""
    found: list[BaseException] = []

    class Listener(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            if record.exc_info and record.exc_info[1] is not None:
                found.append(record.exc_info[1])

    logger, listener = logging.getLogger("torch.export"), Listener()
    logger.addHandler(listener)
    try:
        yield found
    finally:
        logger.removeHandler(listener)


def open(folder: Path, manifest: Manifest, session_options: SessionOptions) -> TorchSession:
    """Load the program; it runs where its tensors were saved. Raises what torch raises."""
    import torch

    with _reasons() as reasons:
        try:
            program = torch.export.load(folder / manifest.entry)
        except RuntimeError as error:
            raise error from (reasons[-1] if reasons else None)
    return TorchSession(program.module(), manifest, session_options)


def trace(
    folder: Path,
    manifest: Manifest,
    session_options: SessionOptions,
    feeds: list[tuple[Feed, int]],
    seed: Callable[[int], None],
) -> Iterator[TensorStats]:
    """Every value the program computes for the last feed, after the feeds before it."""
    return traced(open(folder, manifest, session_options), feeds, seed)
