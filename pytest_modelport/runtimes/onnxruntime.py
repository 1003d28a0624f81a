"""ONNX files in ONNX Runtime, at the optimisation level a deployment gets when it sets nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pytest_modelport.artifact import Manifest
from pytest_modelport.feed import Answer, Feed
from pytest_modelport.wire import Array

REQUIRES = {"onnxruntime": "onnxruntime>=1.17"}
DEVICES = ("cpu", "cuda")
OPENS = "onnx"
EXTRA = "onnx"

_PROVIDERS = {"cpu": "CPUExecutionProvider", "cuda": "CUDAExecutionProvider"}
#: ONNX Runtime's names for tensor types NumPy has no name of its own for.
_ERRORS_ONLY = 3


class OnnxRuntimeSession:
    """An `InferenceSession` with what it really runs on in `options`."""

    def __init__(self, path: Path, device: str, threads: int) -> None:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.log_severity_level = _ERRORS_ONLY
        kind, _, index = device.partition(":")
        provider: Any = _PROVIDERS[kind]
        requested = (provider, {"device_id": int(index)}) if index else provider
        self._session = onnxruntime.InferenceSession(str(path), options, providers=[requested])
        used = self._session.get_providers()
        if used[0] != provider:
            raise RuntimeError(f"{provider} was asked for and ONNX Runtime fell back to {used[0]}")
        self.options = {
            "provider": used[0],
            "graph_optimization_level": options.graph_optimization_level.name,
            "intra_op_threads": threads,
            "onnxruntime": onnxruntime.__version__,
        }

    def run(self, feed: Feed) -> Answer:
        """One call. Arrays are copied in, so the port cannot change the caller's."""
        wanted = {item.name for item in self._session.get_inputs()}
        feeds = {name: array.numpy().copy() for name, array in feed.inputs.items() if name in wanted}
        results = self._session.run(None, feeds)
        names = [item.name for item in self._session.get_outputs()]
        return Answer(tuple((name, Array.of(result)) for name, result in zip(names, results, strict=True)))


def open(folder: Path, manifest: Manifest, device: str, threads: int) -> OnnxRuntimeSession:
    """Open the file. Raises what ONNX Runtime raises, and `RuntimeError` when it did not take the device asked for."""
    return OnnxRuntimeSession(folder / manifest.entry, device, threads)
