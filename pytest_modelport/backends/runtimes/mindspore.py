"""MindIR files in MindSpore, called by position."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pytest_modelport.backends.export import versions
from pytest_modelport.backends.kit import ordered
from pytest_modelport.backends.session_options import SessionOptions
from pytest_modelport.core.artifact import Manifest
from pytest_modelport.core.feed import Answer, Feed

REQUIRES = {"mindspore": "mindspore>=2.5"}
DEVICES = ("cpu",)
OPENS = ("mindspore",)
EXTRA = ""
ENVIRONMENT = "mindspore"


class MindSporeSession:
    """A graph that was loaded."""

    def __init__(self, path: Path, manifest: Manifest, session_options: SessionOptions) -> None:
        import mindspore

        mindspore.set_device("CPU")
        self._graph: Any = mindspore.nn.GraphCell(mindspore.load(str(path)))
        self._manifest = manifest
        self.options = {
            "device": "cpu",
            "intra_op_threads": session_options.threads,
            **versions("mindspore"),
        }

    def run(self, feed: Feed) -> Answer:
        """One call."""
        import mindspore

        results = self._graph(*map(mindspore.Tensor, ordered.arrays(self._manifest, feed)))
        found = results if isinstance(results, (list, tuple)) else (results,)
        return ordered.answer(self._manifest, [result.asnumpy() for result in found])


def open(folder: Path, manifest: Manifest, session_options: SessionOptions) -> MindSporeSession:
    """Load the graph. Raises what MindSpore raises."""
    return MindSporeSession(folder / manifest.entry, manifest, session_options)
