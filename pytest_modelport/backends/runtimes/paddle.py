"""Paddle's inference program, run by `paddle.jit`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pytest_modelport.backends.export import versions
from pytest_modelport.backends.kit import ordered
from pytest_modelport.backends.session_options import SessionOptions
from pytest_modelport.core.artifact import Manifest
from pytest_modelport.core.feed import Answer, Feed

REQUIRES = {"paddle": "paddlepaddle>=3.0"}
DEVICES = ("cpu",)
OPENS = ("paddle",)
EXTRA = ""
ENVIRONMENT = "paddle"


class PaddleSession:
    """A program. It takes its inputs by position."""

    def __init__(self, path: Path, manifest: Manifest, session_options: SessionOptions) -> None:
        import paddle

        paddle.set_device("cpu")
        self._program: Any = paddle.jit.load(str(path.with_suffix("")))
        self._program.eval()
        self._manifest = manifest
        self.options = {
            "device": "cpu",
            "intra_op_threads": session_options.threads,
            **versions("paddlepaddle"),
        }

    def run(self, feed: Feed) -> Answer:
        """One call."""
        import paddle

        given = [paddle.to_tensor(array) for array in ordered.arrays(self._manifest, feed)]
        with paddle.no_grad():
            results = self._program(*given)
        found = results if isinstance(results, (list, tuple)) else (results,)
        return ordered.answer(self._manifest, [result.numpy() for result in found])


def open(folder: Path, manifest: Manifest, session_options: SessionOptions) -> PaddleSession:
    """Load the program. Raises what Paddle raises."""
    return PaddleSession(folder / manifest.entry, manifest, session_options)
