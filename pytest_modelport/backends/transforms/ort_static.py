"""ONNX Runtime's static quantization of a file: int8 weights and activations (QDQ), ranges measured
on calibration data.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from pytest_modelport.backends.transform_work import FileWork
from pytest_modelport.backends.transforms import _onnxruntime

REQUIRES = _onnxruntime.REQUIRES
EXTRA = "onnx"
ON = "onnx"
FLOOR = "int8_static"
#: activations, weights: `uint8` and `int8` is what x86 processors compute fast.
OPTIONS = {
    "per_channel": bool,
    "activations": ("uint8", "int8"),
    "weights": ("int8", "uint8"),
    "preprocess": bool,
}


def apply(work: FileWork) -> Iterator[str]:
    """`per_channel` (true): a scale for each output channel. `preprocess` (true): infer shapes
    and fold constants first.
    """
    from onnxruntime.quantization import QuantFormat, QuantType, quantize_static

    kinds: dict[str, Any] = {"uint8": QuantType.QUInt8, "int8": QuantType.QInt8}
    with _onnxruntime.prepared(work) as source:
        quantize_static(
            str(source),
            str(work.target),
            _onnxruntime.reader(work.feeds),
            quant_format=QuantFormat.QDQ,
            per_channel=work.options.get("per_channel", True),
            activation_type=kinds[work.options.get("activations", "uint8")],
            weight_type=kinds[work.options.get("weights", "int8")],
        )
    yield from _onnxruntime.told(
        work, ("QuantizeLinear", "DequantizeLinear", "QLinearConv", "QLinearMatMul")
    )
