"""Measurements for one tensor the port produced against what it must be. No opinion: `tolerance`
has that.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from pytest_modelport.compare.blind import against_eager, blind
from pytest_modelport.core.arrays import Array
from pytest_modelport.reference.expected import Expected, Floats, Noise, deviations
from pytest_modelport.request.tolerance import NOISE_FACTOR

#: Elements of similar magnitude share their noise, so that one evaluation's luck does not decide:
#: this many draws together.
_POOL = 64
#: ... but never elements that differ by more than this factor in magnitude.
_SIMILAR = 16.0
#: Noise is never taken to be less than this many units in the last place of the output's dtype.
_FLOOR_ULPS = 1.5
_EPS = {
    "float16": 2.0**-10,
    "bfloat16": 2.0**-7,
    "float32": 2.0**-23,
    "complex32": 2.0**-10,
    "complex64": 2.0**-23,
    "float8_e4m3fn": 2.0**-3,
    "float8_e4m3fnuz": 2.0**-3,
    "float8_e8m0fnu": 1.0,
    "float64": 2.0**-52,
}


_EPS |= {"complex128": 2.0**-52}


#: Below this, results may be flushed to zero: the smallest normal number (float16: its smallest
#: subnormal).
_TINY = {"float16": 2.0**-24, "float64": 2.0**-1022, "complex128": 2.0**-1022}


def eps(dtype: str) -> float:
    """The spacing of numbers at 1 in a dtype named as torch names it. float8 formats with two bits
    of mantissa: 2**-2.
    """
    return _EPS.get(dtype, 0.25)


@dataclass(frozen=True)
class Element:
    """One element, where port and subject are furthest apart."""

    index: tuple[int, ...]
    subject: str
    port: str
    oracle: str
    error: float
    allowed: float


@dataclass(frozen=True)
class Comparison:
    """What was measured for one tensor of one call.

    count: elements whose magnitude was compared, or that were compared for equality. nonfinite:
    elements where NaN or infinity stands on one side only. different: unequal integers or bools;
    undecided: those of them on which the subject's own evaluations disagree. error, noise: root
    mean square distance from the oracle, of the port and of the subject's evaluations. score: how
    many times the noise the port is off (its worst element or all together, whichever is more);
    unsettled: elements whose noise is not finite. against_eager: elements of which the oracle knows
    nothing, judged against eager.
    """

    call: str
    name: str
    expected: str
    got: str
    shape_matches: bool
    dtype_matches: bool
    count: int = 0
    nonfinite: int = 0
    different: int = 0
    undecided: int = 0
    error: float = 0.0
    noise: float = 0.0
    magnitude: float = 0.0
    score: float = 0.0
    unsettled: int = 0
    against_eager: int = 0
    worst: Element | None = None

    @property
    def matches(self) -> bool:
        """Whether dtype and shape allow looking at the values."""
        return self.shape_matches and self.dtype_matches


def compare(
    call: str, expected: Expected, got: Array, fixed: tuple[float, float] | None = None
) -> Comparison:
    """Measure one tensor. Structure, NaN pattern and integers against eager; magnitudes against the
    oracle.

    fixed: (rtol, atol) to measure magnitudes against eager with, instead of noise; the score is
    then 1 at the limit.
    """
    shape_matches, dtype_matches = (
        got.shape == expected.eager.shape,
        got.dtype == expected.eager.dtype,
    )
    base: dict[str, Any] = {
        "call": call,
        "name": expected.name,
        "expected": expected.eager.described,
        "got": got.described,
        "shape_matches": shape_matches,
        "dtype_matches": dtype_matches,
    }
    if not (shape_matches and dtype_matches):
        return Comparison(**base)
    return Comparison(
        **base, **(_equality(expected, got) if expected.exact else _magnitude(expected, got, fixed))
    )


def _equality(expected: Expected, got: Array) -> dict[str, Any]:
    eager, port = expected.eager.numpy(), got.numpy()
    differs = eager != port
    undecided = differs & (
        expected.noise.undecided if expected.noise.undecided is not None else False
    )
    found = _element(
        differs & ~undecided if (differs & ~undecided).any() else differs, eager, port, eager
    )
    return {
        "count": eager.size,
        "different": int(differs.sum()),
        "undecided": int(undecided.sum()),
        "worst": found,
    }


def _element(mask: npt.NDArray[np.bool_], eager: Any, port: Any, oracle: Any) -> Element | None:
    """The first element in `mask`, for differences that have no size."""
    if not mask.any():
        return None
    index = tuple(int(i) for i in np.argwhere(mask)[0])
    return Element(index, str(eager[index]), str(port[index]), str(oracle[index]), math.inf, 0.0)


def _magnitude(expected: Expected, got: Array, fixed: tuple[float, float] | None) -> dict[str, Any]:
    eager, port, oracle = expected.eager.numpy(), got.numpy(), expected.oracle
    pattern = _pattern(eager) != _pattern(port)
    finite = np.isfinite(eager) & ~pattern
    result: dict[str, Any] = {"count": int(finite.sum()), "nonfinite": int(pattern.sum())}
    if pattern.any():
        return {**result, "worst": _element(pattern, eager, port, oracle)}
    if not finite.any():
        return result
    truth = _wide(eager) if fixed else oracle
    floor = _floor(expected)
    unseen = np.zeros_like(finite) if fixed else finite & blind(expected, floor)
    seen = finite & ~unseen
    # What equals eager bit for bit is right, wherever the oracle lies.
    error = np.where(port[seen] == eager[seen], 0.0, deviations(_wide(port)[seen], truth[seen]))
    size = np.abs(truth[seen])
    noise = _rms(expected.noise.worst[seen]) if unseen.any() else expected.noise.rms
    found = [(seen, error, _worst(error, fixed[1] + fixed[0] * size))] if fixed else []
    if not fixed and error.size:
        scores = _measured(error, size, expected.noise, seen, floor[seen], noise)
        found.append((seen, error, scores))
    if unseen.any():
        off, allowed = against_eager(expected, port, unseen, floor, WORST_SHARE)
        # As a score that passes up to the factor on the noise, as others do.
        found.append((unseen, off, _worst(off, allowed / NOISE_FACTOR)))
    mask, off, scores = max(found, key=lambda one: one[2].score)
    index = tuple(int(i) for i in np.argwhere(mask)[scores.worst])
    return {
        **result,
        "error": _rms(error if error.size else off),
        "noise": noise,
        "magnitude": _rms(size if error.size else np.abs(_wide(eager)[unseen])),
        "score": scores.score,
        "unsettled": sum(one[2].unsettled for one in found),
        "against_eager": int(unseen.sum()),
        "worst": Element(
            index,
            _number(eager[index]),
            _number(port[index]),
            _number(oracle[index]),
            float(off[scores.worst]),
            scores.allowed,
        ),
    }


@dataclass(frozen=True)
class _Scores:
    """The score, the flat position of the worst element, and what that element was allowed per unit
    of score.
    """

    score: float
    worst: int
    allowed: float
    unsettled: int = 0


def _worst(error: Floats, allowed: Floats) -> _Scores:
    ratio = _ratio(error, allowed)
    worst = int(np.argmax(ratio))
    return _Scores(float(ratio[worst]), worst, float(allowed[worst]))


def _floor(expected: Expected) -> Floats:
    """The least noise that is assumed of each element."""
    dtype, size = expected.eager.dtype, np.abs(expected.oracle)
    floor: Floats = _FLOOR_ULPS * eps(dtype) * size + _TINY.get(dtype, 2.0**-126)
    return floor


def _measured(
    error: Floats,
    size: Floats,
    noise: Noise,
    seen: npt.NDArray[np.bool_],
    floor: Floats,
    usual: float,
) -> _Scores:
    """usual: the noise of the elements seen, root mean square."""
    deviation = noise.worst[seen]
    settled = np.isfinite(deviation)
    nearby = windowed(np.where(settled, deviation, 0.0), size, len(noise.squares))
    unit = WORST_SHARE * np.maximum(nearby, floor)
    ratio = np.where(settled, _ratio(error, unit), 0.0)
    worst = int(np.argmax(ratio))
    # Few elements make a wide distribution of their mean, which the second factor allows for.
    whole = max(usual, _rms(floor)) * (1 + 2 / math.sqrt(error.size))
    score = max(_rms(error) / whole if math.isfinite(whole) else 0.0, float(ratio[worst]))
    return _Scores(score, worst, float(unit[worst]), int((~settled & (error > 0)).sum()))


def _ratio(error: Floats, allowed: Floats) -> Floats:
    """Error / allowed; 0 / 0 is 0."""
    ratio: Floats = np.divide(
        error, allowed, out=np.where(error > 0, np.inf, 0.0), where=allowed > 0
    )
    return ratio


def _wide(values: npt.NDArray[Any]) -> npt.NDArray[Any]:
    return values.astype(np.complex128 if values.dtype.kind == "c" else np.float64)


#: The worst element may be this many times further off, in units of its neighbours' worst
#: deviation, than all together.
WORST_SHARE = 1.5


def windowed(deviation: Floats, magnitude: Floats, evaluations: int) -> Floats:
    """Each element's largest deviation, or that of its neighbours in magnitude, so that about
    `_POOL` draws stand behind it.
    """
    half = min(math.ceil(_POOL / max(evaluations, 1)) // 2, deviation.size - 1)
    order = np.argsort(magnitude, kind="stable")
    sizes, values = magnitude[order], deviation[order]
    pooled = values.copy()
    for shift in range(1, half + 1):
        near = sizes[shift:] <= _SIMILAR * sizes[:-shift]
        np.maximum(pooled[:-shift], np.where(near, values[shift:], 0.0), out=pooled[:-shift])
        np.maximum(pooled[shift:], np.where(near, values[:-shift], 0.0), out=pooled[shift:])
    result: Floats = np.empty_like(pooled)
    result[order] = pooled
    return result


def _pattern(values: npt.NDArray[Any]) -> npt.NDArray[np.int8]:
    """0 finite, 1 NaN, 2 +inf, 3 -inf; for complex numbers both parts."""
    if values.dtype.kind == "c":
        return np.asarray(4 * _pattern(values.real) + _pattern(values.imag), np.int8)
    return np.asarray(np.isnan(values) + 2 * np.isposinf(values) + 3 * np.isneginf(values), np.int8)


def _rms(values: Floats) -> float:
    return float(np.sqrt(np.mean(np.square(values)))) if values.size else 0.0


def _number(value: Any) -> str:
    return f"{value:.9g}"
