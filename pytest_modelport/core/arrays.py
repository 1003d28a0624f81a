"""Tensors between processes: bytes + shape + logical dtype in a memory-mapped file.

Standard library and NumPy only, because the clean room may run under an interpreter that has
nothing else. No pickle: an artifact's process must not be able to hand code back.
"""

from __future__ import annotations

import mmap
import os
import weakref
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypedDict

if TYPE_CHECKING:
    import numpy.typing as npt

_ALIGN = 64
#: Logical dtypes NumPy has under the same name. Everything else travels as raw bytes of a known
#: width.
_NUMPY = frozenset(
    [
        "bool",
        "uint8",
        "uint16",
        "uint32",
        "uint64",
        "int8",
        "int16",
        "int32",
        "int64",
        "float16",
        "float32",
        "float64",
        "complex64",
        "complex128",
    ]
)


class Description(TypedDict):
    """Where one array lies in its file."""

    dtype: str
    shape: list[int]
    strides: list[int] | None
    offset: int
    nbytes: int


@dataclass(frozen=True, eq=False)
class Array:
    """A tensor's memory. `dtype` is torch's name without the prefix: `float32`, `bfloat16`, `bool`.

    strides: in elements, None for C order; data: the memory from the first element to the last one
    in it.
    """

    dtype: str
    shape: tuple[int, ...]
    data: bytes | memoryview
    strides: tuple[int, ...] | None = None

    @classmethod
    def of(cls, array: npt.ArrayLike) -> Array:
        """A NumPy array's own memory where it lies in C order, else a copy (ml_dtypes' bfloat16 and
        float8 included).
        """
        import numpy as np

        dense = np.ascontiguousarray(array).reshape(np.shape(array))
        return cls(
            str(dense.dtype), dense.shape, dense.reshape(-1).view(np.uint8).data.toreadonly()
        )

    def same(self, other: Array) -> bool:
        """Whether both hold the same bytes. Several times faster than comparing `bytes` or
        `memoryview`s.
        """
        import numpy as np

        mine, others = (np.frombuffer(array.data, np.uint8) for array in (self, other))
        if mine.size != others.size:
            return False
        words = mine.size // 8 * 8
        return np.array_equal(
            mine[:words].view(np.uint64), others[:words].view(np.uint64)
        ) and np.array_equal(mine[words:], others[words:])

    @property
    def described(self) -> str:
        """`float32[2, 3]`."""
        return f"{self.dtype}[{', '.join(map(str, self.shape))}]"

    def numpy(self) -> npt.NDArray[Any]:
        """A read-only NumPy array. bfloat16 and float8 become float32, complex32 complex64, which
        hold each of their values exactly.

        Raises `TypeError` for other dtypes that NumPy cannot hold.
        """
        import numpy as np

        from pytest_modelport.core import narrow

        if narrow.lacking(self.dtype):
            memory: npt.NDArray[Any] = narrow.values_of(self.dtype, self.data)
        elif self.dtype in _NUMPY:
            memory = np.frombuffer(self.data, np.dtype(self.dtype))
        else:
            raise TypeError(f"dtype {self.dtype} has no NumPy equivalent")
        if self.strides is None:
            return memory.reshape(self.shape)
        steps = [stride * memory.itemsize for stride in self.strides]
        return np.lib.stride_tricks.as_strided(memory, self.shape, steps, writeable=False)


def write_arrays(path: Path, arrays: Iterable[Array]) -> list[Description]:
    """Write `arrays` into one file, over what is there; returns where each lies. Raises `OSError`
    (a full disk, say).
    """
    table: list[Description] = []
    with os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT, 0o600), "r+b") as file:
        for array in arrays:
            file.write(b"\0" * (-file.tell() % _ALIGN))
            data = memoryview(array.data).cast("B")
            table.append(
                {
                    "dtype": array.dtype,
                    "shape": list(array.shape),
                    "strides": None if array.strides is None else list(array.strides),
                    "offset": file.tell(),
                    "nbytes": data.nbytes,
                }
            )
            file.write(data)
    return table


def read_arrays(
    path: Path, table: Sequence[Description], released: Callable[[], object] | None = None
) -> list[Array]:
    """Map the file and return views into it; they stay valid after the file is unlinked.

    released: called when nothing refers to any of the views, or to what was made of them, any more.
    """
    with path.open("rb") as file:
        size = path.stat().st_size
        mapped = mmap.mmap(file.fileno(), size, access=mmap.ACCESS_READ) if size else None
    if released is not None and mapped is None:
        released()
    elif released is not None:
        weakref.finalize(mapped, released).atexit = False
    view = memoryview(mapped or b"")
    return [
        Array(
            row["dtype"],
            tuple(row["shape"]),
            view[row["offset"] : row["offset"] + row["nbytes"]],
            None if row["strides"] is None else tuple(row["strides"]),
        )
        for row in table
    ]
