"""onnxslim: the same graph with fewer nodes; exact but for rounding."""

from __future__ import annotations

from collections.abc import Iterator

from pytest_modelport.backends.transform_work import FileWork
from pytest_modelport.backends.transforms import _onnxruntime

REQUIRES = {"onnx": "onnx>=1.17", "onnxslim": "onnxslim>=0.1.60"}
EXTRA = "onnxslim"
ON = "onnx"
FLOOR = "exact"


def apply(work: FileWork) -> Iterator[str]:
    """Says how many nodes are left."""
    import onnx
    import onnxslim

    before = onnx.load(work.source)
    after = onnxslim.slim(before)
    onnx.save(after, work.target)
    yield f"onnxslim: {_onnxruntime.nodes(before)} nodes before, {_onnxruntime.nodes(after)} after"
