"""ONNX Runtime's blockwise four-bit weights (MatMulNBits): of MatMul alone, not of Gemm, which Linear becomes."""

from __future__ import annotations

from collections.abc import Iterator

from pytest_modelport import ortquantize
from pytest_modelport.work import CannotTransform, FileWork

REQUIRES = ortquantize.REQUIRES
EXTRA = "onnx"
ON = "onnx"
PRICE = "int4_weight"
OPTIONS = {"block": int, "symmetric": bool}


def apply(work: FileWork) -> Iterator[str]:
    """Block (32): weights that share a scale. symmetric (false): no zero points."""
    import onnx
    from onnxruntime.quantization.matmul_nbits_quantizer import MatMulNBitsQuantizer

    model = onnx.load(work.source)
    before = ortquantize.counted(model, ("Gemm", "MatMul"))
    quantizer = MatMulNBitsQuantizer(
        model, bits=4, block_size=work.options.get("block", 32), is_symmetric=work.options.get("symmetric", False)
    )
    quantizer.process()
    made = quantizer.model.model
    if not ortquantize.counted(made, ("MatMulNBits",)):
        raise CannotTransform(f"no MatMul with a constant was found ({before or 'no products at all'}): nothing was quantized")
    onnx.save(made, work.target)
    yield from ortquantize.told(work, ("MatMulNBits",))
