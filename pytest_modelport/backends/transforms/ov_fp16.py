"""OpenVINO's float16 weights: half the file; computed in the precision set for the runtime."""

from __future__ import annotations

from collections.abc import Iterator

from pytest_modelport.backends.transform_work import FileWork

REQUIRES = {"openvino": "openvino>=2025.0"}
EXTRA = "openvino"
ON = "openvino"
FLOOR = "fp16"


def apply(work: FileWork) -> Iterator[str]:
    """As OpenVINO itself saves by default."""
    import openvino

    openvino.save_model(openvino.Core().read_model(work.source), work.target, compress_to_fp16=True)
    yield "weights are stored in float16"
