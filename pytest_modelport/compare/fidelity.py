"""What a transform cost: the original's answers beside those of what became of it. Measurements, no
opinion.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from pytest_modelport.compare.agreement import agreement, neighbours, probabilities, rows_along
from pytest_modelport.core.errors import unknown

Values = npt.NDArray[Any]
Floats = npt.NDArray[np.float64]


#: Slices of fewer elements say nothing by themselves.
_SLICE = 8
#: How much of its own size a slice must vary by, to have lost something when it became constant.
_VARIES = 0.05


@dataclass(frozen=True)
class Slice:
    """One slice of an output: `'boxes'[..., 4]`, and what became of it."""

    place: str
    sqnr_db: float


@dataclass(frozen=True)
class Fidelity:
    """Of one output, or the worst of several. Rows are along the last axis, over all calls.

    sqnr_db: 20 log10(rms of the original's answer / rms of the difference). cosine: of the worst
    row. top1: share of rows whose largest element is the same; of integer outputs, of elements. kl:
    mean of KL(softmax(original) || softmax(other)), in nats. nonfinite: elements that are NaN or
    infinite and were not. rows: how many top1 is about: all where the output is scores of classes,
    else those whose largest element leads by more than the usual error. slices: the worst one along
    any axis, by its own size. constant: slices that vary in the original and no more. neighbours:
    of embeddings, the share of rows whose nearest other row, by cosine, is the same; of those that
    have a clear one. None: there is no such thing here.
    """

    sqnr_db: float | None = None
    cosine: float | None = None
    top1: float | None = None
    kl: float | None = None
    nonfinite: int = 0
    rows: int = 0
    slices: Slice | None = None
    constant: tuple[str, ...] = ()
    neighbours: float | None = None


#: The axis of class scores: of every output, or of each by name; None: found by what it holds.
ClassAxis = int | Mapping[str, int] | None


def fidelity_of(
    pairs: Iterable[tuple[str, Values, Values]],
    class_axis: ClassAxis = None,
    *,
    classes: bool = False,
) -> Fidelity:
    """The worst output's figures; see `fidelities_of`."""
    return worst_of(fidelities_of(pairs, class_axis, classes=classes).values())


def fidelities_of(
    pairs: Iterable[tuple[str, Values, Values]],
    class_axis: ClassAxis = None,
    *,
    classes: bool = False,
) -> dict[str, Fidelity]:
    """Each output's fidelity over every call: name, original, other; equal shapes. classes: every
    output of several axes is taken for scores, as whoever asks about the best class wants.
    Raises `UsageError` for a class axis of an output that is not there, or that it does not have.
    """
    by_name: dict[str, list[tuple[Values, Values]]] = {}
    for name, original, other in pairs:
        by_name.setdefault(name, []).append((original, other))
    for name in class_axis if isinstance(class_axis, Mapping) else ():
        if name not in by_name:
            raise unknown("output in class_axis", name, by_name)
    return {
        name: _output(name, found, _axis(class_axis, name), classes=classes)
        for name, found in by_name.items()
    }


def _axis(class_axis: ClassAxis, name: str) -> int | None:
    return class_axis.get(name) if isinstance(class_axis, Mapping) else class_axis


def worst_of(fidelities: Iterable[Fidelity]) -> Fidelity:
    """The worst of each figure."""
    outputs = list(fidelities)

    def of(name: str, pick: Any) -> Any:
        values = [value for fidelity in outputs if (value := getattr(fidelity, name)) is not None]
        return pick(values) if values else None

    top1 = of("top1", min)
    return Fidelity(
        of("sqnr_db", min),
        of("cosine", min),
        top1,
        of("kl", max),
        sum(fidelity.nonfinite for fidelity in outputs),
        next((fidelity.rows for fidelity in outputs if fidelity.top1 == top1), 0),
        of("slices", lambda found: min(found, key=lambda one: one.sqnr_db)),
        tuple(place for fidelity in outputs for place in fidelity.constant),
        of("neighbours", min),
    )


def _output(
    name: str, pairs: list[tuple[Values, Values]], class_axis: int | None, *, classes: bool
) -> Fidelity:
    if pairs[0][0].dtype.kind not in "fc":
        same = np.concatenate([(original == other).ravel() for original, other in pairs])
        return Fidelity(top1=float(same.mean()), rows=same.size) if same.size else Fidelity()
    lost, count, signal, error = 0, 0, 0.0, 0.0
    whole: list[tuple[Any, Any]] = []
    for original, other in pairs:
        first, second = _wide(original), _wide(other)
        finite = np.isfinite(first)
        count += int(finite.sum())
        lost += int((finite & ~np.isfinite(second)).sum())
        signal += float(np.square(np.abs(first[finite])).sum())
        error += float(np.square(np.abs(first[finite] - second[finite])).sum())
        if first.ndim and first.size and finite.all() and np.isfinite(second).all():
            whole.append((first, second))
    rows = [rows_along(*pair, -1) for pair in whole if pair[0].shape[-1] > 1]
    alike = min((cosine(*pair) for pair in rows), default=None)
    top1, number, divergence = agreement(name, whole, class_axis, classes=classes)
    worst, constant = _slices(name, whole)
    decibels = _decibels(signal, error) if count else None
    near = neighbours(name, whole)
    return Fidelity(decibels, alike, top1, divergence, lost, number, worst, constant, near)


def _slices(name: str, whole: list[tuple[Any, Any]]) -> tuple[Slice | None, tuple[str, ...]]:
    """The worst slice along any axis, and those that vary in the original and no more."""
    worst: Slice | None = None
    constant: list[str] = []
    for axis in range(whole[0][0].ndim if whole else 0):
        if any(first.shape[axis] != whole[0][0].shape[axis] for first, _ in whole):
            continue
        rows = [rows_along(*pair, axis) for pair in whole]
        first, second = (np.concatenate(found) for found in zip(*rows, strict=True))
        count, width = first.shape
        if count < _SLICE or width < 2:
            continue
        signal = np.square(np.abs(first)).sum(0)
        error = np.square(np.abs(first - second)).sum(0)
        with np.errstate(divide="ignore", invalid="ignore"):
            ratio = np.where(error == 0, np.inf, 10 * np.log10(signal / error))
        at = int(np.argmin(ratio))
        place = _place(name, whole[0][0].ndim, axis)
        if worst is None or ratio[at] < worst.sqnr_db:
            worst = Slice(place.format(at), float(ratio[at]))
        if probabilities(whole[0][0], axis):
            continue  # what is never likely may round to nothing
        varied = first.std(0) > _VARIES * np.sqrt(signal / count)
        still = (second == second[:1]).all(0)
        constant += [place.format(number) for number in np.flatnonzero(varied & still)]
    return worst, tuple(constant)


def _place(name: str, dims: int, axis: int) -> str:
    """`'output'[:, {}]`."""
    before = ":, " * axis
    after = ", :" * (dims - axis - 1)
    return f"'{name}'[{before}{{}}{after}]"


def _wide(values: Values) -> Any:
    return values.astype(np.complex128 if values.dtype.kind == "c" else np.float64)


def _decibels(signal: float, error: float) -> float:
    if math.isnan(error) or math.isinf(error):
        return -math.inf
    if error == 0:
        return math.inf
    return 10 * math.log10(signal / error) if signal else -math.inf


def cosine(first: Floats, second: Floats) -> float:
    """The smallest cosine between rows, (rows, width) each; two rows of zeros are alike."""
    lengths = np.linalg.norm(first, axis=-1) * np.linalg.norm(second, axis=-1)
    products = (
        np.abs((first * np.conj(second)).sum(-1))
        if first.dtype.kind == "c"
        else (first * second).sum(-1)
    )
    both = (np.linalg.norm(first, axis=-1) == 0) & (np.linalg.norm(second, axis=-1) == 0)
    return float(
        np.where(
            both, 1.0, np.divide(products, lengths, out=np.zeros_like(products), where=lengths > 0)
        ).min()
    )
