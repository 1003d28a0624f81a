"""ONNX files in ONNX Runtime on its TensorRT provider, with CUDA's for the nodes that TensorRT does not take.

A session in which TensorRT takes no node at all is refused: every answer would be another provider's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from pytest_modelport import ortsession
from pytest_modelport.artifact import Manifest
from pytest_modelport.feed import Feed
from pytest_modelport.setting import Setting
from pytest_modelport.signature import Signature

REQUIRES = {"onnxruntime": "onnxruntime>=1.17"}
DEVICES = ("cuda",)
OPENS = ("onnx",)
EXTRA = "onnx"
OPTIONS = {"optimization": ortsession.OPTIMIZATION, "precision": ("f32", "f16", "bf16")}

_PRECISION = {"f32": {}, "f16": {"trt_fp16_enable": "1"}, "bf16": {"trt_bf16_enable": "1"}}


def absent(_options: Mapping[str, object]) -> str:
    """Why this build of ONNX Runtime cannot run it; empty when it can."""
    import onnxruntime

    built = onnxruntime.get_available_providers()
    if "TensorrtExecutionProvider" in built:
        return ""
    return f"onnxruntime {onnxruntime.__version__} is built without TensorrtExecutionProvider: pip install onnxruntime-gpu"


def providers(setting: Setting) -> ortsession.Providers:
    """TensorRT's provider, then CUDA's."""
    index = setting.device.partition(":")[2]
    where = {"device_id": index} if index else {}
    rounding = _PRECISION[setting.options.get("precision", "f32")]
    return [("TensorrtExecutionProvider", {**where, **rounding}), ("CUDAExecutionProvider", where)]


def open(folder: Path, manifest: Manifest, setting: Setting) -> ortsession.OnnxRuntimeSession:
    """Open the file. Raises what ONNX Runtime raises, and `RuntimeError` when TensorRT runs nothing of it."""
    return ortsession.OnnxRuntimeSession(str(folder / manifest.entry), setting, providers(setting))


def trace(
    folder: Path, manifest: Manifest, setting: Setting, feeds: list[tuple[Feed, int]], seed: Callable[[int], None]
) -> Iterator[Signature]:
    """As `ortsession.trace`, on TensorRT's provider."""
    return ortsession.trace(folder, manifest, setting, feeds, seed, providers(setting))
