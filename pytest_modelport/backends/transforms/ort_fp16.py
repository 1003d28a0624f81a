"""ONNX Runtime's conversion of a file to float16, inputs and outputs left float32."""

from __future__ import annotations

from collections.abc import Iterator

from pytest_modelport.backends.transform_work import FileWork
from pytest_modelport.backends.transforms import _onnxruntime

REQUIRES = _onnxruntime.REQUIRES
EXTRA = "onnx"
ON = "onnx"
FLOOR = "fp16"
OPTIONS = {"keep_io": bool}


def apply(work: FileWork) -> Iterator[str]:
    """`keep_io` (true): inputs and outputs stay float32."""
    import onnx
    from onnxruntime.transformers.float16 import convert_float_to_float16

    model = convert_float_to_float16(
        onnx.load(work.source), keep_io_types=work.options.get("keep_io", True)
    )
    onnx.save(model, work.target)
    yield from _onnxruntime.told(work, ("Cast",))
