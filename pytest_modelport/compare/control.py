"""Answers that are known to be wrong, made of a port's own: a judgement that passes them has seen
nothing.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from pytest_modelport.compare.comparison import Comparison, eps
from pytest_modelport.core import narrow
from pytest_modelport.core.arrays import Array
from pytest_modelport.reference.expected import Expected
from pytest_modelport.request.tolerance import Tolerance

#: How many times what is allowed an element is moved by: more than the port itself may use of it.
_TIMES = 3.0
#: Noise beyond this share of an answer: whether zeros would pass as well is asked too.
_VISIBLE = 0.01
#: An answer that is smaller than this share of its noise, times `_VISIBLE`, is zero.
_NOTHING = 1e-5


@dataclass(frozen=True)
class Control:
    """A wrong answer. what: in words, what was done to the port's. size: how far an element moved,
    as a number; None where that is not the point.
    """

    what: str
    answer: Array
    size: float | None = None


def controls(
    expected: Expected, got: Array, comparison: Comparison, tolerance: Tolerance, *, fixed: bool
) -> Iterator[Control]:
    """Wrong answers in place of one that passed; none where nothing of it was compared. fixed: it
    was held to given numbers, not to the noise.
    """
    if not comparison.matches or not comparison.count:
        return
    values = np.array(got.numpy())
    if expected.exact:
        yield from _other_element(got, values, expected)
        return
    if tolerance.sqnr_db is not None:
        if tolerance.sqnr_db != -math.inf:
            yield _everywhere(got, values, comparison, tolerance.sqnr_db)
        return
    yield from _moved(got, values, comparison, 1.0 if fixed else tolerance.factor)
    # Where the truth is nothing but zeros, zeros are no wrong answer.
    if comparison.noise > _VISIBLE * comparison.magnitude > _NOTHING * comparison.noise:
        yield Control("zeros in its place", _array(got.dtype, np.where(_finite(values), 0, values)))


def _other_element(got: Array, values: npt.NDArray[Any], expected: Expected) -> Iterator[Control]:
    """An integer or a bool that is another one, where the subject's evaluations agree about it."""
    undecided = expected.noise.undecided
    decided = np.argwhere(np.ones(values.shape, bool) if undecided is None else ~undecided)
    if len(decided):
        at = tuple(decided[0])
        values[at] = not values[at] if values.dtype.kind == "b" else values[at] ^ 1
        yield Control(f"another value at {_place(at)}", _array(got.dtype, values))


def _moved(
    got: Array, values: npt.NDArray[Any], comparison: Comparison, limit: float
) -> Iterator[Control]:
    """One element, further off than is allowed."""
    worst = comparison.worst
    if worst is None or not math.isfinite(worst.allowed) or not worst.allowed:
        return
    before = values[worst.index]
    # At least to the next number that the dtype has.
    size = max(_TIMES * limit * worst.allowed, 2 * eps(got.dtype) * float(abs(before)))
    values[worst.index] = before + (-size if before.real > 0 else size)
    yield Control(f"off by {size:.2g} at {_place(worst.index)}", _array(got.dtype, values), size)


def _everywhere(
    got: Array, values: npt.NDArray[Any], comparison: Comparison, decibels: float
) -> Control:
    """Every element off by twice what decibels leave."""
    size = 2 * comparison.magnitude * 10 ** (-decibels / 20) + comparison.error
    signs = np.where(np.arange(values.size) % 2, 1, -1).reshape(values.shape)
    moved = np.where(_finite(values), values + size * signs, values)
    return Control(f"off by {size:.2g} everywhere", _array(got.dtype, moved), size)


def _finite(values: npt.NDArray[Any]) -> npt.NDArray[np.bool_]:
    return np.asarray(np.isfinite(values))


def _place(index: tuple[int, ...]) -> str:
    return str([int(axis) for axis in index])


def _array(dtype: str, values: npt.NDArray[Any]) -> Array:
    """The values in a dtype that NumPy may not have."""
    if narrow.lacking(dtype):
        return Array(dtype, values.shape, narrow.data_of(dtype, values))
    return Array.of(values.astype(dtype))
