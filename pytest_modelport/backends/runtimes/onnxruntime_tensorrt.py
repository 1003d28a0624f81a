"""ONNX files in ONNX Runtime on its TensorRT provider, with CUDA's for the nodes that TensorRT does
not take.

A session in which TensorRT takes no node at all is refused: every answer would be another
provider's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from pytest_modelport.backends.runtimes import _onnxruntime
from pytest_modelport.backends.session_options import SessionOptions
from pytest_modelport.core.artifact import Manifest
from pytest_modelport.core.feed import Feed
from pytest_modelport.core.tensor_stats import TensorStats

REQUIRES = {"onnxruntime": "onnxruntime>=1.17"}
DEVICES = ("cuda",)
OPENS = ("onnx",)
EXTRA = "onnx"
OPTIONS = {"optimization": _onnxruntime.OPTIMIZATION, "precision": ("f32", "f16", "bf16")}
_PRECISION = {"f32": {}, "f16": {"trt_fp16_enable": "1"}, "bf16": {"trt_bf16_enable": "1"}}


def absent(_options: Mapping[str, object]) -> str:
    """Why this build of ONNX Runtime cannot run it; empty when it can."""
    import onnxruntime

    built = onnxruntime.get_available_providers()
    if "TensorrtExecutionProvider" in built:
        return ""
    return (
        f"onnxruntime {onnxruntime.__version__} has no TensorrtExecutionProvider: "
        "pip install onnxruntime-gpu"
    )


def providers(session_options: SessionOptions) -> _onnxruntime.Providers:
    """TensorRT's provider, then CUDA's."""
    index = session_options.device.partition(":")[2]
    where = {"device_id": index} if index else {}
    rounding = _PRECISION[session_options.options.get("precision", "f32")]
    return [("TensorrtExecutionProvider", {**where, **rounding}), ("CUDAExecutionProvider", where)]


def open(
    folder: Path, manifest: Manifest, session_options: SessionOptions
) -> _onnxruntime.OnnxRuntimeSession:
    """Open the file. Raises what ONNX Runtime raises, and `RuntimeError` when TensorRT runs nothing
    of it.
    """
    return _onnxruntime.OnnxRuntimeSession(
        str(folder / manifest.entry), session_options, providers(session_options), manifest
    )


def trace(
    folder: Path,
    manifest: Manifest,
    session_options: SessionOptions,
    feeds: list[tuple[Feed, int]],
    seed: Callable[[int], None],
) -> Iterator[TensorStats]:
    """As `ortsession.trace`, on TensorRT's provider."""
    return _onnxruntime.trace(
        folder, manifest, session_options, feeds, seed, providers(session_options)
    )
