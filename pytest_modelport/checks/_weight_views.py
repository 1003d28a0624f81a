"""A constant seen as an exporter may have laid it out, and how near two arrays lie."""

from __future__ import annotations

import hashlib
import itertools
import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[Any]
#: A recomputed fold may differ by this many units in the last place: exporters do it in another
#: order.
_FOLD_ULPS = 8.0
_BFLOAT16 = 2.0**-7
#: Relative distance (L2) up to which a constant is a tensor on a line: float16 keeps that much.
_FOLDED = 2e-3
#: Elements of a slice that say whether they are on a line.
_LINE = 4


def difference(
    constant: Floats, candidate: Floats, wrong: npt.NDArray[np.bool_], label: str
) -> str:
    at = tuple(int(i) for i in np.argwhere(wrong)[0])
    return (
        f"{int(wrong.sum())} of {wrong.size} elements differ from {label}, "
        f"at {list(at)} {constant[at]:.9g} for {candidate[at]:.9g}"
    )


def digest(values: Floats) -> bytes:
    data = np.ascontiguousarray(values)
    return hashlib.blake2b(
        data.tobytes(), digest_size=16, person=str(data.dtype).encode()[:16]
    ).digest()


def is_uniform(values: Floats) -> bool:
    return values.size == 0 or bool((values == values.flat[0]).all())


def is_plain(values: Floats) -> bool:
    """At most two different numbers: a mask or a fill, not a weight."""
    first = values.flat[0]
    others = values[values != first]
    return others.size == 0 or bool((others == others[0]).all())


def rms(values: Floats) -> float:
    return float(np.sqrt(np.mean(np.square(values, dtype=np.float64)))) if values.size else 0.0


def views(constant: Floats) -> Iterator[Floats]:
    """The constant, its axes in every other order (up to four), and what it is when repetition
    along an axis is taken out.
    """
    yield constant
    if 2 <= constant.ndim <= 4:
        yield from (
            constant.transpose(order) for order in itertools.permutations(range(constant.ndim))
        )
    single = constant
    for axis in range(constant.ndim):
        if single.shape[axis] > 1:
            first = single.take([0], axis)
            single = first if bool((single == first).all()) else single
    if single.shape != constant.shape:
        yield single


def laid_out(values: Floats, shape: tuple[int, ...]) -> Iterator[Floats]:
    """`values` brought to `shape` by reshaping or by one transposition."""
    if values.size != math.prod(shape):
        return
    yield values.reshape(shape)
    if values.ndim == len(shape) >= 2:
        for first, second in itertools.combinations(range(values.ndim), 2):
            swapped = values.swapaxes(first, second)
            if swapped.shape == shape:
                yield swapped


def divisors(length: int) -> list[int]:
    """Divisors of `length` from large to small, without 1."""
    return [width for width in range(length, 1, -1) if length % width == 0]


def spacing(name: str, coarse: frozenset[str]) -> float:
    """The spacing at 1 of a constant's numbers where NumPy's dtype does not say it: bfloat16's."""
    return _BFLOAT16 if name in coarse else 0.0


def near(
    constant: Floats, candidate: Floats, scale: Floats, coarse: float = 0.0
) -> npt.NDArray[np.bool_]:
    """coarse: the spacing at 1 of a dtype that NumPy does not have."""
    eps = np.finfo(candidate.dtype).eps if candidate.dtype.kind == "f" else 2.0**-23
    return np.asarray(np.abs(constant - candidate) <= _FOLD_ULPS * max(eps, coarse) * scale)


def close(constant: Floats, candidate: Floats, scale: Floats, coarse: float = 0.0) -> bool:
    first = (slice(0, 1),) * constant.ndim  # most candidates differ at once
    return bool(near(constant[first], candidate[first], scale[first], coarse).all()) and bool(
        near(constant, candidate, scale, coarse).all()
    )


def distance(left: Floats, right: Floats) -> float:
    wide = np.asarray(right, np.float64)
    size = float(np.linalg.norm(wide.ravel()))
    return float(np.linalg.norm((left - wide).ravel())) / size if size else math.inf


def folded(constant: Floats, values: Floats, coarse: float = 0.0) -> bool:
    """Whether the constant is `values` times a number and plus another for each slice along one
    axis, as folding leaves it.
    """
    for view in laid_out(values, constant.shape):
        wide, other = np.asarray(view, np.float64), np.asarray(constant, np.float64)
        for axis in range(constant.ndim):
            rest = tuple(number for number in range(constant.ndim) if number != axis)
            if constant.size < _LINE * constant.shape[axis]:
                continue  # through so few points there is a line for any numbers
            first, second = (part - part.mean(axis=rest, keepdims=True) for part in (wide, other))
            size = np.square(first).sum(axis=rest, keepdims=True)
            factor = (first * second).sum(axis=rest, keepdims=True) / np.where(size, size, 1)
            if distance(factor * first, second) <= max(_FOLDED, 2 * coarse):
                return True
    return False
