"""LiteRT's interpreter, with its XNNPACK delegate."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pytest_modelport.backends.export import versions
from pytest_modelport.backends.kit import ordered
from pytest_modelport.backends.session_options import SessionOptions
from pytest_modelport.core.artifact import Manifest
from pytest_modelport.core.feed import Answer, Feed

REQUIRES = {"ai_edge_litert": "ai-edge-litert>=2.0"}
DEVICES = ("cpu",)
OPENS = ("litert",)
EXTRA = ""
ENVIRONMENT = "litert"


class LitertSession:
    """The file's one signature. Its names end in positions: `args_0`, `output_0`."""

    def __init__(self, path: Path, manifest: Manifest, session_options: SessionOptions) -> None:
        from ai_edge_litert.interpreter import Interpreter

        self._interpreter: Any = Interpreter(
            str(path), num_threads=session_options.threads
        )  # the runner needs it alive
        self._runner = self._interpreter.get_signature_runner()
        self._declared = self._runner.get_input_details()
        self._manifest = manifest
        self.options = {
            "delegate": "XNNPACK",
            "intra_op_threads": session_options.threads,
            **versions("ai-edge-litert"),
        }

    def run(self, feed: Feed) -> Answer:
        """One call. Ids are given in the file's own integers."""
        names, given = sorted(self._declared, key=_position), ordered.placed(self._manifest, feed)
        results = self._runner(
            **{
                names[position]: ordered.narrowed(
                    ordered.dense(array), self._declared[names[position]]["dtype"]
                )
                for position, array in given.items()
            }
        )
        found = [results[name] for name in sorted(results, key=_position)]
        if len(found) == len(self._manifest.outputs):
            found = [
                ordered.widened(*pair)
                for pair in zip(found, (v.dtype for v in self._manifest.outputs), strict=True)
            ]
        return ordered.answer(self._manifest, found)


def _position(name: str) -> int:
    return int(name.rpartition("_")[2])


def open(folder: Path, manifest: Manifest, session_options: SessionOptions) -> LitertSession:
    """Load the file. Raises what LiteRT raises."""
    return LitertSession(folder / manifest.entry, manifest, session_options)
