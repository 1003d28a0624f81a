"""A tensor in a few numbers that survive reshaping and transposing: enough to recognise it in
another graph.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy.typing as npt


@dataclass(frozen=True)
class TensorStats:
    """count: elements; nonfinite: how many are NaN or infinite; the rest is of the finite ones."""

    count: int
    nonfinite: int
    mean: float
    rms: float
    low: float
    high: float

    def agrees(self, other: TensorStats, tolerance: float) -> bool:
        """Whether both may describe the same values, to `tolerance` relative to their size."""
        if (self.count, self.nonfinite) != (other.count, other.nonfinite):
            return False
        size = tolerance * max(self.rms, other.rms) + 1e-300
        pairs = (
            (self.mean, other.mean),
            (self.rms, other.rms),
            (self.low, other.low),
            (self.high, other.high),
        )
        return all(abs(left - right) <= size for left, right in pairs)

    def to_list(self) -> list[float]:
        return [self.count, self.nonfinite, self.mean, self.rms, self.low, self.high]

    @classmethod
    def from_list(cls, values: Sequence[float]) -> TensorStats:
        return cls(int(values[0]), int(values[1]), *values[2:])


def stats_of(values: npt.NDArray[Any]) -> TensorStats:
    """The signature of an array of numbers or bools; complex numbers count as their parts."""
    import numpy as np

    flat = np.ravel(values)
    parts = flat.view(flat.real.dtype) if flat.dtype.kind == "c" else flat
    wide = parts.astype(np.float64)
    finite = wide[np.isfinite(wide)]
    if not finite.size:
        return TensorStats(flat.size, parts.size, 0.0, 0.0, 0.0, 0.0)
    with np.errstate(over="ignore"):
        rms = float(np.sqrt(np.mean(np.square(finite))))
    rms = rms if math.isfinite(rms) else float(np.abs(finite).max())
    return TensorStats(
        flat.size,
        parts.size - finite.size,
        float(finite.mean()),
        rms,
        float(finite.min()),
        float(finite.max()),
    )
