"""ONNX files in onnx's own Python evaluator: slow, and the closest to what the standard says."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from pytest_modelport.backends.kit import ordered
from pytest_modelport.backends.session_options import SessionOptions
from pytest_modelport.core import narrow
from pytest_modelport.core.arrays import Array
from pytest_modelport.core.artifact import Manifest
from pytest_modelport.core.feed import Answer, Feed
from pytest_modelport.core.tensor_stats import TensorStats, stats_of

REQUIRES = {"onnx": "onnx>=1.16"}
DEVICES = ("cpu",)
OPENS = ("onnx",)
EXTRA = "onnx"
REFEREE = True


class ReferenceSession:
    """`onnx.reference.ReferenceEvaluator`."""

    def __init__(self, path: Path, manifest: Manifest) -> None:
        import onnx
        import onnx.reference

        self._evaluator = onnx.reference.ReferenceEvaluator(str(path))
        self._own = {value.file_name: value.name for value in manifest.outputs}
        self._optional = [value for value in manifest.inputs if value.optional]
        self.options = {"evaluator": "onnx.reference", "onnx": onnx.__version__}

    def run(self, feed: Feed) -> Answer:
        """One call."""
        wanted = set(self._evaluator.input_names)
        feeds = {name: _given(array) for name, array in feed.inputs.items() if name in wanted}
        feeds |= {value.name: None for value in self._optional if value.name not in feeds}
        results = self._evaluator.run(None, feeds)
        return Answer(
            tuple(
                (self._own.get(name, name), Array.of(result))
                for name, result in zip(self._evaluator.output_names, results, strict=True)
            )
        )


def _given(array: Array) -> Any:
    """An input in the dtype that onnx itself has for it: ml_dtypes' where NumPy has none."""
    import numpy as np

    if not narrow.lacking(array.dtype) or array.dtype == "complex32":
        return array.numpy().copy()
    import ml_dtypes

    dtype = np.dtype(getattr(ml_dtypes, array.dtype))
    return np.frombuffer(ordered.packed(array), dtype).reshape(array.shape).copy()


def open(folder: Path, manifest: Manifest, session_options: SessionOptions) -> ReferenceSession:  # noqa: ARG001
    """Open the file. Raises what onnx raises."""
    return ReferenceSession(folder / manifest.entry, manifest)


def trace(
    folder: Path,
    manifest: Manifest,
    session_options: SessionOptions,  # noqa: ARG001
    feeds: list[tuple[Feed, int]],
    seed: Callable[[int], None],
) -> Iterator[TensorStats]:
    """Every value the graph computes for the last feed."""
    import numpy as np
    import onnx.reference

    evaluator = onnx.reference.ReferenceEvaluator(str(folder / manifest.entry))
    feed, number = feeds[-1]
    seed(number)
    inputs = {
        name: _given(array)
        for name, array in feed.inputs.items()
        if name in set(evaluator.input_names)
    }
    values: dict[str, Any] = evaluator.run(None, inputs, intermediate=True)  # type: ignore[assignment]
    for value in values.values():
        if isinstance(value, np.ndarray) and value.dtype.kind in "fciub":
            yield stats_of(value)
