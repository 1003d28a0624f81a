"""ONNX files in ONNX Runtime, at the optimisation level a deployment gets when it sets nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

from pytest_modelport.backends.runtimes import _onnxruntime
from pytest_modelport.backends.session_options import SessionOptions
from pytest_modelport.core.artifact import Manifest
from pytest_modelport.core.feed import Feed
from pytest_modelport.core.tensor_stats import TensorStats

REQUIRES = {"onnxruntime": "onnxruntime>=1.17"}
DEVICES = ("cpu", "cuda")
OPENS = ("onnx",)
EXTRA = "onnx"
REFEREE = True
OPTIONS = {"optimization": _onnxruntime.OPTIMIZATION}
UNOPTIMISED = {"optimization": "disabled"}
_PROVIDERS = {"cpu": "CPUExecutionProvider", "cuda": "CUDAExecutionProvider"}


def providers(session_options: SessionOptions) -> _onnxruntime.Providers:
    """The provider of the device."""
    kind, _, index = session_options.device.partition(":")
    return [(_PROVIDERS[kind], {"device_id": index} if index else {})]


def open(
    folder: Path, manifest: Manifest, session_options: SessionOptions
) -> _onnxruntime.OnnxRuntimeSession:
    """Open the file. Raises what ONNX Runtime raises, and `RuntimeError` when it did not take the
    device asked for.
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
    """As `ortsession.trace`, on the provider of the device."""
    return _onnxruntime.trace(
        folder, manifest, session_options, feeds, seed, providers(session_options)
    )
