"""ONNX Runtime's blockwise four-bit weights (MatMulNBits): of MatMul alone, not of Gemm, which
Linear becomes.
"""

from __future__ import annotations

from collections.abc import Iterator

from pytest_modelport.backends.transform_work import FileWork
from pytest_modelport.backends.transforms import _onnxruntime
from pytest_modelport.core.errors import CannotTransform

REQUIRES = _onnxruntime.REQUIRES
EXTRA = "onnx"
ON = "onnx"
FLOOR = "int4_weight"
OPTIONS = {"block": int, "symmetric": bool}


def apply(work: FileWork) -> Iterator[str]:
    """`block` (32): how many weights share a scale. `symmetric` (false): without zero points."""
    import onnx
    from onnxruntime.quantization.matmul_nbits_quantizer import MatMulNBitsQuantizer

    model = onnx.load(work.source)
    before = _onnxruntime.counted(model, ("Gemm", "MatMul"))
    quantizer = MatMulNBitsQuantizer(
        model,
        bits=4,
        block_size=work.options.get("block", 32),
        is_symmetric=work.options.get("symmetric", False),
    )
    quantizer.process()
    made = quantizer.model.model
    if not _onnxruntime.counted(made, ("MatMulNBits",)):
        products = before or "no products at all"
        raise CannotTransform(f"nothing to quantize: no MatMul with constant weights ({products})")
    onnx.save(made, work.target)
    yield from _onnxruntime.told(work, ("MatMulNBits",))
