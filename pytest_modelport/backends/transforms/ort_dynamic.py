"""ONNX Runtime's dynamic quantization of a file: int8 weights; the ranges of activations are found
at every call.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from pytest_modelport.backends.transform_work import FileWork
from pytest_modelport.backends.transforms import _onnxruntime

REQUIRES = _onnxruntime.REQUIRES
EXTRA = "onnx"
ON = "onnx"
FLOOR = "int8_dynamic"
OPTIONS = {"per_channel": bool, "weights": ("int8", "uint8"), "preprocess": bool}


def apply(work: FileWork) -> Iterator[str]:
    """`per_channel` (false): a scale for each output channel. `preprocess` (true): infer shapes
    and fold constants first.
    """
    from onnxruntime.quantization import QuantType, quantize_dynamic

    kinds: dict[str, Any] = {"uint8": QuantType.QUInt8, "int8": QuantType.QInt8}
    with _onnxruntime.prepared(work) as source:
        quantize_dynamic(
            str(source),
            str(work.target),
            per_channel=work.options.get("per_channel", False),
            weight_type=kinds[work.options.get("weights", "int8")],
        )
    yield from _onnxruntime.told(
        work, ("DynamicQuantizeLinear", "MatMulInteger", "ConvInteger", "DynamicQuantizeLSTM")
    )
