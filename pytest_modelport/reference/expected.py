"""What the port must produce, tensor by tensor, and the noise around it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from pytest_modelport.core.arrays import Array
from pytest_modelport.core.sample import Call

Floats = npt.NDArray[np.float64]


@dataclass(eq=False)
class Noise:
    """How the subject's evaluations scatter around the oracle, for one tensor.

    worst, least: each element's largest and smallest deviation so far; squares: each evaluation's
    mean squared deviation. Of all but eager itself: others, the largest deviation; apart, nearest:
    the largest and smallest finite distance from eager. For integers and bools, undecided: elements
    on which evaluations disagree.
    """

    worst: Floats
    least: Floats
    others: Floats
    apart: Floats
    nearest: Floats
    squares: list[float] = field(default_factory=list)
    undecided: npt.NDArray[np.bool_] | None = None

    @classmethod
    def none(cls, shape: tuple[int, ...], *, exact: bool = False) -> Noise:
        """Before any evaluation. exact: of integers or bools."""
        worst, others, apart = (np.zeros(shape) for _ in range(3))
        least, nearest = (np.full(shape, np.inf) for _ in range(2))
        undecided = np.zeros(shape, bool) if exact else None
        return cls(worst, least, others, apart, nearest, undecided=undecided)

    @property
    def rms(self) -> float:
        """Root mean square deviation over all evaluations; inf when one of them was not finite."""
        return math.sqrt(sum(self.squares) / len(self.squares)) if self.squares else 0.0

    def add(self, deviation: Floats, apart: Floats) -> None:
        """Count in one more evaluation's absolute deviations from the oracle, and from eager."""
        np.maximum(self.worst, deviation, out=self.worst)
        np.minimum(self.least, deviation, out=self.least)
        if apart.any():  # else eager itself, or as good as
            np.maximum(self.others, deviation, out=self.others)
            np.maximum(self.apart, np.where(np.isfinite(apart), apart, 0.0), out=self.apart)
            np.minimum(self.nearest, apart, out=self.nearest)
        self.squares.append(float(np.mean(np.square(deviation))) if deviation.size else 0.0)


@dataclass(frozen=True, eq=False)
class Expected:
    """A tensor the port must produce: an output, or an input as the call leaves it (`changed`)."""

    name: str
    eager: Array
    oracle: npt.NDArray[Any]
    noise: Noise
    changed: bool = False

    @property
    def exact(self) -> bool:
        """Integers and bools: compared for equality."""
        return self.oracle.dtype.kind not in "fc"

    def observe(self, array: Array) -> None:
        """Count in what one evaluation made of this tensor."""
        values = values_of(array)
        flipped = (
            values.shape != self.oracle.shape
        )  # a shape that depends on data came out otherwise
        if self.noise.undecided is not None:
            np.logical_or(
                self.noise.undecided,
                True if flipped else values != self.eager.numpy(),
                out=self.noise.undecided,
            )
        else:
            truths = (self.oracle, values_of(self.eager))
            self.noise.add(
                *(
                    np.full(truth.shape, np.inf) if flipped else deviations(values, truth)
                    for truth in truths
                )
            )


@dataclass(frozen=True, eq=False)
class ExpectedCall:
    """What one call must give."""

    call: Call
    outputs: tuple[Expected, ...]
    constants: Mapping[str, Any]
    mutated: Mapping[int, Expected]


def unobserved(name: str, eager: Array, oracle: Array, *, changed: bool = False) -> Expected:
    """A tensor that no evaluation has been counted in for."""
    values = values_of(oracle)
    noise = Noise.none(values.shape, exact=values.dtype.kind not in "fc")
    return Expected(name, eager, values, noise, changed)


def around_eager(step: ExpectedCall) -> ExpectedCall:
    """The same call without an oracle: eager stands in for it, and no evaluation has been counted
    in.
    """
    outputs = tuple(unobserved(item.name, item.eager, item.eager) for item in step.outputs)
    mutated = {
        key: unobserved(item.name, item.eager, item.eager, changed=True)
        for key, item in step.mutated.items()
    }
    return replace(step, outputs=outputs, mutated=mutated)


def values_of(array: Array) -> npt.NDArray[Any]:
    """Floats as float64, complex as complex128, the rest as they are."""
    values = array.numpy()
    if values.dtype.kind == "f":
        return values.astype(np.float64)
    return values.astype(np.complex128) if values.dtype.kind == "c" else values


def deviations(values: npt.NDArray[Any], oracle: npt.NDArray[Any]) -> Floats:
    """|values - oracle| for arrays of one shape: 0 for equal infinities and NaN on both sides, inf
    for NaN on one side.
    """
    with np.errstate(invalid="ignore", over="ignore"):
        result = np.abs(values - oracle)
    same = (values == oracle) | (np.isnan(values) & np.isnan(oracle))
    return np.where(same, 0.0, np.where(np.isnan(result), np.inf, result)).astype(np.float64)
