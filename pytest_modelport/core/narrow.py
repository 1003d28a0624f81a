"""Floating point dtypes that NumPy lacks, as arrays of values and back: every value of eight bits
is in a table, bfloat16 is the upper half of a float32, complex32 a pair of float16.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy.typing as npt

#: Bits of mantissa, bias of the exponent, and which bit patterns (without the sign) are no number:
#: infinity first, then NaN from there on; by "Float8 formats" in the ONNX documentation.
_FLOAT8 = {
    "float8_e4m3fn": (3, 7, None, 0x7F),
    "float8_e5m2": (2, 15, 0x7C, 0x7D),
    "float8_e4m3fnuz": (3, 8, None, None),
    "float8_e5m2fnuz": (2, 16, None, None),
}
_SCALE = "float8_e8m0fnu"


def lacking(dtype: str) -> bool:
    """Whether this is one of them."""
    return dtype in _FLOAT8 or dtype in (_SCALE, "bfloat16", "complex32")


def values_of(dtype: str, data: bytes | memoryview) -> npt.NDArray[Any]:
    """The elements, float32 or complex64, which hold each of them exactly (e8m0 beyond 2**127 is
    infinite).
    """
    import numpy as np

    if dtype == "bfloat16":
        return (np.frombuffer(data, np.uint16).astype(np.uint32) << 16).view(np.float32)
    if dtype == "complex32":
        return np.frombuffer(data, np.float16).astype(np.float32).view(np.complex64)
    return _table(dtype)[np.frombuffer(data, np.uint8)]


def data_of(dtype: str, values: npt.NDArray[Any]) -> bytes:
    """The nearest elements' bytes, in C order."""
    import numpy as np

    if dtype == "bfloat16":
        upper = np.ascontiguousarray(values, np.float32).view(np.uint32) >> 16
        return upper.astype(np.uint16).tobytes()
    if dtype == "complex32":
        parts = np.ascontiguousarray(values, np.complex64).view(np.float32)
        return parts.astype(np.float16).tobytes()
    table = _table(dtype)
    wanted = np.asarray(values, np.float32).reshape(-1, 1)
    with np.errstate(invalid="ignore"):
        apart = np.where(table == wanted, 0, np.abs(table - wanted))  # infinities, too
    nearest = np.where(np.isnan(apart), np.inf, apart).argmin(-1)
    missing = np.isnan(values).reshape(-1)
    nothing = np.flatnonzero(np.isnan(table))
    if missing.any() and nothing.size:
        nearest = np.where(missing, nothing[0], nearest)
    return bytes(nearest.astype(np.uint8).data)


@functools.cache
def _table(dtype: str) -> npt.NDArray[Any]:
    """All 256 elements of a dtype of eight bits."""
    import numpy as np

    codes = np.arange(256)
    if dtype == _SCALE:  # powers of two
        return np.where(codes == 255, np.nan, np.exp2(codes - 127.0)).astype(np.float32)
    mantissa, bias, infinite, none = _FLOAT8[dtype]
    plain = codes & 0x7F
    exponent, rest = plain >> mantissa, (plain & ((1 << mantissa) - 1)) / (1 << mantissa)
    sizes = np.where(
        exponent == 0, rest * 2.0 ** (1 - bias), (1 + rest) * np.exp2(exponent - float(bias))
    )
    if infinite is not None:
        sizes[plain == infinite] = np.inf
    if none is not None:
        sizes[plain >= none] = np.nan
    signed = np.where(codes & 0x80, -sizes, sizes)
    if none is None:  # the code that would be minus zero
        signed[0x80] = np.nan
    return signed.astype(np.float32)
