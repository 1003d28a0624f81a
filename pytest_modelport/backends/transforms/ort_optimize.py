"""ONNX Runtime's own graph optimizations, done once and written down instead of at every start."""

from __future__ import annotations

from collections.abc import Iterator

from pytest_modelport.backends.transform_work import FileWork
from pytest_modelport.backends.transforms import _onnxruntime

REQUIRES = _onnxruntime.REQUIRES
EXTRA = "onnx"
ON = "onnx"
FLOOR = "exact"
#: `all` also lays data out for the processor it is run on: such a file is for that kind alone.
OPTIONS = {"level": ("basic", "extended", "all")}


def apply(work: FileWork) -> Iterator[str]:
    """`level` (basic): ONNX Runtime's level of graph optimization."""
    import onnx
    import onnxruntime

    level, chosen = onnxruntime.GraphOptimizationLevel, work.options.get("level", "basic")
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = getattr(level, f"ORT_ENABLE_{chosen.upper()}")
    options.optimized_model_filepath = str(work.target)
    options.intra_op_num_threads = 1
    onnxruntime.InferenceSession(str(work.source), options, providers=["CPUExecutionProvider"])
    before, after = (
        _onnxruntime.nodes(onnx.load(work.source)),
        _onnxruntime.nodes(onnx.load(work.target)),
    )
    yield f"ort_optimize: {before} nodes before, {after} after"
