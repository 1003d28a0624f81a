"""What a transform cost: the original's answers beside those of what became of it. Measurements, no
opinion.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Values = npt.NDArray[Any]
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Fidelity:
    """Of the worst output. Rows are along the last axis, over all calls.

    sqnr_db: 20 log10(rms of the original's answer / rms of the difference). cosine: of the worst
    row. top1: share of rows whose largest element is the same; of integer outputs, of elements. kl:
    mean of KL(softmax(original) || softmax(other)), in nats. nonfinite: elements that are NaN or
    infinite and were not. rows: how many top1 is about. None: there is no such thing here.
    """

    sqnr_db: float | None = None
    cosine: float | None = None
    top1: float | None = None
    kl: float | None = None
    nonfinite: int = 0
    rows: int = 0


def fidelity_of(pairs: Iterable[tuple[str, Values, Values]]) -> Fidelity:
    """The fidelity over every call's outputs: name, original, other; equal shapes."""
    by_name: dict[str, list[tuple[Values, Values]]] = {}
    for name, original, other in pairs:
        by_name.setdefault(name, []).append((original, other))
    return _worst([_output(found) for found in by_name.values()])


def _worst(outputs: list[Fidelity]) -> Fidelity:
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
    )


def _output(pairs: list[tuple[Values, Values]]) -> Fidelity:
    if pairs[0][0].dtype.kind not in "fc":
        same = np.concatenate([(original == other).ravel() for original, other in pairs])
        return Fidelity(top1=float(same.mean()), rows=same.size) if same.size else Fidelity()
    lost, count, signal, error, rows = 0, 0, 0.0, 0.0, []
    for original, other in pairs:
        first, second = _wide(original), _wide(other)
        finite = np.isfinite(first)
        count += int(finite.sum())
        lost += int((finite & ~np.isfinite(second)).sum())
        signal += float(np.square(np.abs(first[finite])).sum())
        error += float(np.square(np.abs(first[finite] - second[finite])).sum())
        if (
            first.ndim
            and first.shape[-1] > 1
            and first.size
            and finite.all()
            and np.isfinite(second).all()
        ):
            rows.append((first.reshape(-1, first.shape[-1]), second.reshape(-1, first.shape[-1])))
    alike = min((cosine(*pair) for pair in rows), default=None)
    return Fidelity(
        _decibels(signal, error) if count else None,
        alike,
        *_agreement(rows, classes=pairs[0][0].ndim > 1),
        lost,
        sum(len(a) for a, _ in rows),
    )


def _agreement(
    rows: list[tuple[Floats, Floats]], *, classes: bool
) -> tuple[float | None, float | None]:
    """top1 and kl, where a row may be scores of classes."""
    if not rows or not classes or rows[0][0].dtype.kind == "c":
        return None, None
    same = np.concatenate([first.argmax(-1) == second.argmax(-1) for first, second in rows])
    divergence = np.concatenate([_divergence(first, second) for first, second in rows])
    return float(same.mean()), float(divergence.mean())


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


def _divergence(first: Floats, second: Floats) -> Floats:
    """KL(softmax(first) || softmax(second)) of each row."""
    p, q = _log_softmax(first), _log_softmax(second)
    found: Floats = (np.exp(p) * (p - q)).sum(-1)
    return np.maximum(found, 0.0)


def _log_softmax(rows: Floats) -> Floats:
    shifted: Floats = rows - rows.max(-1, keepdims=True)
    logs: Floats = shifted - np.log(np.exp(shifted).sum(-1, keepdims=True))
    return logs
