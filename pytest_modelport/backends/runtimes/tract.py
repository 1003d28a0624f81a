"""ONNX files in tract."""

from __future__ import annotations

from pathlib import Path

from pytest_modelport.backends.kit import ordered
from pytest_modelport.backends.session_options import SessionOptions
from pytest_modelport.core.artifact import Manifest
from pytest_modelport.core.feed import Answer, Feed

REQUIRES = {"tract": "tract>=0.22"}
DEVICES = ("cpu",)
OPENS = ("onnx",)
EXTRA = "tract"


class TractSession:
    """A model, optimised and planned. tract runs in one thread."""

    def __init__(self, path: Path, manifest: Manifest) -> None:
        import tract

        self._runnable = tract.onnx().load(str(path)).into_model().into_runnable()
        self._manifest = manifest
        self.options = {"intra_op_threads": 1, "tract": tract.version()}

    def run(self, feed: Feed) -> Answer:
        """One call."""
        results = self._runnable.run(ordered.arrays(self._manifest, feed))
        return ordered.answer(self._manifest, [result.to_numpy() for result in results])


def open(folder: Path, manifest: Manifest, session_options: SessionOptions) -> TractSession:  # noqa: ARG001
    """Load, type and optimise the graph. Raises what tract raises."""
    return TractSession(folder / manifest.entry, manifest)
