"""OpenVINO IR and ONNX files in OpenVINO, on its CPU plugin, in float32 unless the route asks for
something else.

OpenVINO's own default depends on the host: on processors that have bfloat16 units it computes in
bfloat16.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from pytest_modelport.backends.kit import openvino_tensors, ordered
from pytest_modelport.backends.session_options import SessionOptions
from pytest_modelport.core.artifact import Manifest
from pytest_modelport.core.errors import CannotJudge
from pytest_modelport.core.feed import Answer, Feed

REQUIRES = {"openvino": "openvino>=2025.0"}
DEVICES = ("cpu",)
OPENS = ("openvino", "onnx")
EXTRA = "openvino"
REFEREE = True
OPTIONS = {"precision": ("f32", "bf16", "f16", "default")}


class OpenvinoSession:
    """A compiled model. Each call is a request of its own: no input keeps its last value."""

    def __init__(self, path: Path, manifest: Manifest, session_options: SessionOptions) -> None:
        import openvino

        precision = session_options.options.get("precision", "f32")
        config: dict[str, Any] = {"INFERENCE_NUM_THREADS": session_options.threads}
        if precision != "default":
            config["INFERENCE_PRECISION_HINT"] = precision
        core = openvino.Core()
        self._compiled = core.compile_model(core.read_model(path), "CPU", config)
        self._manifest = manifest
        used = self._compiled.get_property("INFERENCE_PRECISION_HINT").to_string()
        if precision not in ("default", used):
            raise CannotJudge(f"this processor has no {precision}: OpenVINO computes in {used}")
        self.options = {
            "precision": used,
            "intra_op_threads": session_options.threads,
            "openvino": openvino.__version__,
        }

    def prepare(self, feed: Feed) -> Callable[[], Any]:
        """`InferRequest.infer` alone, on one request, as a deployment would."""
        given = self._given(feed)
        request = self._compiled.create_infer_request()
        return lambda: request.infer(given)

    def run(self, feed: Feed) -> Answer:
        """One call."""
        request = self._compiled.create_infer_request()
        request.infer(self._given(feed))
        count = len(self._compiled.outputs)
        return ordered.answer(
            self._manifest,
            [
                openvino_tensors.array_of(tensor.element_type, tensor.data)
                for tensor in map(request.get_output_tensor, range(count))
            ],
        )

    def _given(self, feed: Feed) -> dict[int, Any]:
        placed = ordered.placed(self._manifest, feed)
        return {position: openvino_tensors.given(array) for position, array in placed.items()}


def open(folder: Path, manifest: Manifest, session_options: SessionOptions) -> OpenvinoSession:
    """Read and compile. Raises what OpenVINO raises."""
    return OpenvinoSession(folder / manifest.entry, manifest, session_options)
