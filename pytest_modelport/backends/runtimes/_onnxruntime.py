"""A session of ONNX Runtime on the execution provider that was asked for, and on no other."""

from __future__ import annotations

import ctypes
import math
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from pytest_modelport.backends.kit import ordered
from pytest_modelport.backends.session_options import SessionOptions
from pytest_modelport.core.arrays import Array
from pytest_modelport.core.artifact import Manifest
from pytest_modelport.core.feed import Answer, Feed
from pytest_modelport.core.tensor_stats import TensorStats, stats_of

#: Execution providers by falling preference, each with its options. The first is the one that was
#: asked for.
Providers = list[tuple[str, dict[str, str]]]
OPTIMIZATION = ("disabled", "basic", "extended", "all")
_LEVELS = {
    "disabled": "ORT_DISABLE_ALL",
    "basic": "ORT_ENABLE_BASIC",
    "extended": "ORT_ENABLE_EXTENDED",
    "all": "ORT_ENABLE_ALL",
}
_ERRORS_ONLY = 3
#: Session configuration of ONNX Runtime 1.24 and later: remember which provider each node went to.
_REMEMBER = "session.record_ep_graph_assignment_info"


class _Kind(NamedTuple):
    """A dtype that NumPy lacks: torch's name, bytes of an element, its number in ONNX."""

    name: str
    bytes: int
    number: int


_NARROW = {
    "tensor(bfloat16)": _Kind("bfloat16", 2, 16),
    "tensor(float8e4m3fn)": _Kind("float8_e4m3fn", 1, 17),
    "tensor(float8e4m3fnuz)": _Kind("float8_e4m3fnuz", 1, 18),
    "tensor(float8e5m2)": _Kind("float8_e5m2", 1, 19),
    "tensor(float8e5m2fnuz)": _Kind("float8_e5m2fnuz", 1, 20),
    "tensor(float8e8m0)": _Kind("float8_e8m0fnu", 1, 24),
}


class OnnxRuntimeSession:
    """An `InferenceSession` with what it really runs on in `options`.

    Raises `RuntimeError` where ONNX Runtime fell back to another provider, or gave the one asked
    for none of the nodes.
    """

    def __init__(
        self,
        model: str | bytes,
        session_options: SessionOptions,
        providers: Providers,
        manifest: Manifest | None = None,
    ) -> None:
        import onnxruntime

        outputs = manifest.outputs if manifest else ()
        self._own = {value.file_name: value.name for value in outputs}
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = session_options.threads
        if "optimization" in session_options.options:
            level = getattr(
                onnxruntime.GraphOptimizationLevel, _LEVELS[session_options.options["optimization"]]
            )
            options.graph_optimization_level = level
        options.log_severity_level = _ERRORS_ONLY
        options.add_session_config_entry(_REMEMBER, "1")
        self._session = onnxruntime.InferenceSession(model, options, providers=providers)
        asked, used = providers[0][0], self._session.get_providers()
        if used[0] != asked:
            raise RuntimeError(f"{asked} was asked for and ONNX Runtime fell back to {used[0]}")
        self.options = {
            "provider": asked,
            "graph_optimization_level": options.graph_optimization_level.name,
            "intra_op_threads": session_options.threads,
            "onnxruntime": onnxruntime.__version__,
        }
        if len(used) > 1:  # the CPU is always among them
            self.options["nodes"] = _shared_out(self._session, asked)
        said = self._session.get_provider_options().get(asked, {})
        self.options |= {name: said[name] for name in _ROUNDING if name in said}

    def prepare(self, feed: Feed) -> Callable[[], Any]:
        """`InferenceSession.run` alone."""
        feeds = self._feeds(feed)
        return lambda: self._session.run(None, feeds)

    def run(self, feed: Feed) -> Answer:
        """One call. ONNX Runtime reads inputs where they lie and writes to none of them."""
        outputs = self._session.get_outputs()
        names = [self._own.get(item.name, item.name) for item in outputs]
        if any(item.type in _NARROW for item in (*self._session.get_inputs(), *outputs)):
            return Answer(tuple(zip(names, self._narrow(feed), strict=True)))
        results = self._session.run(None, self._feeds(feed))
        return Answer(
            tuple((name, Array.of(result)) for name, result in zip(names, results, strict=True))
        )

    def _narrow(self, feed: Feed) -> Iterator[Array]:
        """A call with tensors of dtypes that NumPy lacks, by ONNX Runtime's own values."""
        import numpy as np
        from onnxruntime import OrtValue

        given = {}
        for item in self._session.get_inputs():
            if item.name not in feed.inputs:
                continue  # refusing that is the port's part
            array, kind = feed.inputs[item.name], _NARROW.get(item.type)
            if kind is None or kind.name != array.dtype:
                given[item.name] = OrtValue.ortvalue_from_numpy(ordered.dense(array))
            else:
                raw = np.frombuffer(ordered.packed(array), f"u{kind.bytes}").reshape(array.shape)
                value = OrtValue.ortvalue_from_numpy_with_onnx_type(raw.copy(), kind.number)
                given[item.name] = value
        values = self._session.run_with_ort_values(None, given)
        for value, item in zip(values, self._session.get_outputs(), strict=True):
            kind = _NARROW.get(item.type)
            if kind is None:
                yield Array.of(value.numpy())
                continue
            shape = tuple(value.shape())
            data = ctypes.string_at(value.data_ptr(), math.prod(shape) * kind.bytes)
            yield Array(kind.name, shape, data)

    def _feeds(self, feed: Feed) -> dict[str, Any]:
        wanted = {item.name for item in self._session.get_inputs()}
        return {name: array.numpy() for name, array in feed.inputs.items() if name in wanted}


#: Provider options that say whether it computes less precisely than its dtypes.
_ROUNDING = ("use_tf32", "trt_fp16_enable", "trt_bf16_enable")


def _shared_out(session: Any, asked: str) -> dict[str, int]:
    """How many nodes each provider took. Raises `RuntimeError` where the one that was asked for
    took none.

    Empty before ONNX Runtime 1.24, which does not say.
    """
    if not hasattr(session, "get_provider_graph_assignment_info"):
        return {}
    counts: Counter[str] = Counter()
    for part in session.get_provider_graph_assignment_info():
        counts[part.ep_name] += len(part.get_nodes())
    if counts and not counts[asked]:
        others = ", ".join(f"{name} took {count}" for name, count in counts.items())
        raise RuntimeError(f"{asked} was asked for and took none of the nodes: {others}")
    return dict(counts)


def trace(
    folder: Path,
    manifest: Manifest,
    session_options: SessionOptions,
    feeds: list[tuple[Feed, int]],
    seed: Callable[[int], None],
    providers: Providers,
) -> Iterator[TensorStats]:
    """Every value the graph computes for the last feed: same session options, same graph, all
    values as outputs.
    """
    import onnx

    model = onnx.load(folder / manifest.entry)
    names = {output.name for output in model.graph.output}
    for node in model.graph.node:
        for name in node.output:
            if name and name not in names:
                model.graph.output.append(onnx.ValueInfoProto(name=name))
    session = OnnxRuntimeSession(model.SerializeToString(), session_options, providers)
    feed, number = feeds[-1]
    seed(number)
    for _, array in session.run(feed).outputs:
        yield stats_of(array.numpy())
