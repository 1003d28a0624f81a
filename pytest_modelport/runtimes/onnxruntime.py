"""ONNX files in ONNX Runtime, at the optimisation level a deployment gets when it sets nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from pytest_modelport.artifact import Manifest
from pytest_modelport.feed import Answer, Feed
from pytest_modelport.setting import Setting
from pytest_modelport.signature import Signature, signature
from pytest_modelport.wire import Array

REQUIRES = {"onnxruntime": "onnxruntime>=1.17"}
DEVICES = ("cpu", "cuda")
OPENS = ("onnx",)
EXTRA = "onnx"
REFEREE = True
OPTIONS = {"optimization": ("disabled", "basic", "extended", "all")}

_PROVIDERS = {"cpu": "CPUExecutionProvider", "cuda": "CUDAExecutionProvider"}
_LEVELS = {
    "disabled": "ORT_DISABLE_ALL",
    "basic": "ORT_ENABLE_BASIC",
    "extended": "ORT_ENABLE_EXTENDED",
    "all": "ORT_ENABLE_ALL",
}
_ERRORS_ONLY = 3


class OnnxRuntimeSession:
    """An `InferenceSession` with what it really runs on in `options`."""

    def __init__(self, model: str | bytes, setting: Setting) -> None:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = setting.threads
        if "optimization" in setting.options:
            level = getattr(onnxruntime.GraphOptimizationLevel, _LEVELS[setting.options["optimization"]])
            options.graph_optimization_level = level
        options.log_severity_level = _ERRORS_ONLY
        kind, _, index = setting.device.partition(":")
        provider: Any = _PROVIDERS[kind]
        requested = (provider, {"device_id": int(index)}) if index else provider
        self._session = onnxruntime.InferenceSession(model, options, providers=[requested])
        used = self._session.get_providers()
        if used[0] != provider:
            raise RuntimeError(f"{provider} was asked for and ONNX Runtime fell back to {used[0]}")
        self.options = {
            "provider": used[0],
            "graph_optimization_level": options.graph_optimization_level.name,
            "intra_op_threads": setting.threads,
            "onnxruntime": onnxruntime.__version__,
        }
        rounded = self._session.get_provider_options().get(provider, {}).get("use_tf32")
        self.options |= {"use_tf32": rounded} if rounded is not None else {}

    def prepare(self, feed: Feed) -> Callable[[], Any]:
        """`InferenceSession.run` alone."""
        wanted = {item.name for item in self._session.get_inputs()}
        feeds = {name: array.numpy().copy() for name, array in feed.inputs.items() if name in wanted}
        return lambda: self._session.run(None, feeds)

    def run(self, feed: Feed) -> Answer:
        """One call. Arrays are copied in, so the port cannot change the caller's."""
        wanted = {item.name for item in self._session.get_inputs()}
        feeds = {name: array.numpy().copy() for name, array in feed.inputs.items() if name in wanted}
        results = self._session.run(None, feeds)
        names = [item.name for item in self._session.get_outputs()]
        return Answer(tuple((name, Array.of(result)) for name, result in zip(names, results, strict=True)))


def open(folder: Path, manifest: Manifest, setting: Setting) -> OnnxRuntimeSession:
    """Open the file. Raises what ONNX Runtime raises, and `RuntimeError` when it did not take the device asked for."""
    return OnnxRuntimeSession(str(folder / manifest.entry), setting)


def trace(
    folder: Path, manifest: Manifest, setting: Setting, feeds: list[tuple[Feed, int]], seed: Callable[[int], None]
) -> Iterator[Signature]:
    """Every value the graph computes for the last feed: same session options, same graph, all values as outputs."""
    import onnx

    model = onnx.load(folder / manifest.entry)
    names = {output.name for output in model.graph.output}
    for node in model.graph.node:
        for name in node.output:
            if name and name not in names:
                model.graph.output.append(onnx.ValueInfoProto(name=name))
    session = OnnxRuntimeSession(model.SerializeToString(), setting)
    feed, number = feeds[-1]
    seed(number)
    for _, array in session.run(feed).outputs:
        yield signature(array.numpy())
