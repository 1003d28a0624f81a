"""What the largest of several numbers says: classes, probabilities, nearest neighbours; and whether
two answers say the same.
"""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import numpy.typing as npt

from pytest_modelport.core.errors import UsageError

Values = npt.NDArray[Any]
Floats = npt.NDArray[np.float64]

#: Names of outputs that are scores of classes, and of those that are not.
_SCORES = re.compile(r"logit|score|prob|class|cls", re.IGNORECASE)
_EMBEDDINGS = re.compile(r"embed", re.IGNORECASE)
_OTHERS = re.compile(r"box|embed|hidden|feature|coord|offset|image|loss|audio", re.IGNORECASE)
#: How near 1 the sum of probabilities, and the length of a normalised row, are.
_ONE = 1e-2
#: A row's best element is clear where it leads the second by this many times the usual error.
_CLEAR = 4.0
#: Rows from which on each class has its own usual error.
_MANY = 16
#: By how much of a cosine a clear neighbour is nearer than the second.
_LEADS = 0.02
#: Fewer embeddings have no neighbours to speak of.
_FEWEST = 8
#: As many embeddings are compared with each other.
_MOST = 2048


def agreement(
    name: str, whole: list[tuple[Any, Any]], class_axis: int | None, *, classes: bool
) -> tuple[float | None, int, float | None]:
    """top1, the rows it is about, and kl."""
    pairs = [pair for pair in whole if pair[0].ndim > 1]
    if not pairs or pairs[0][0].dtype.kind == "c":
        return None, 0, None
    axis, sure = _class_axis(name, pairs[0][0], class_axis, sure=classes)
    if axis is None or any(pair[0].shape[axis] < 2 for pair in pairs):
        return None, 0, None
    rows = [rows_along(*pair, axis) for pair in pairs]
    if any(one.shape[1] != rows[0][0].shape[1] for one, _ in rows):
        return None, 0, None
    first, second = (np.concatenate(found) for found in zip(*rows, strict=True))
    same = first.argmax(-1) == second.argmax(-1)
    divergence = float(_divergence(first, second).mean())
    if sure or same.all():
        return float(same.mean()), same.size, divergence
    clear = same[_clear(first, second)]
    return (float(clear.mean()) if clear.size else None), clear.size, divergence


def _class_axis(
    name: str, values: Values, given: int | None, *, sure: bool
) -> tuple[int | None, bool]:
    """Along which axis the largest element says something, and whether that is a class for sure."""
    usual = 1 if values.ndim > 3 else values.ndim - 1
    if given is not None:
        if not -values.ndim <= given < values.ndim:
            raise UsageError(f"class_axis is {given}, and {name!r} has {values.ndim} axes")
        return given, True
    for axis in dict.fromkeys((values.ndim - 1, 1)):
        if probabilities(values, axis):
            return axis, True
    if _OTHERS.search(name) and not sure:
        return None, False
    if _normalised(values) and not sure:  # embeddings
        return None, False
    return usual, sure or bool(_SCORES.search(name))


def neighbours(name: str, whole: list[tuple[Any, Any]]) -> float | None:
    """Of how many embeddings the nearest is the same; None where the output holds none, or none of
    them has a clear one.
    """
    if not whole or any(pair[0].ndim != 2 or pair[0].dtype.kind == "c" for pair in whole):
        return None
    if any(pair[0].shape[1] != whole[0][0].shape[1] for pair in whole):
        return None
    first, second = (np.concatenate(found)[:_MOST] for found in zip(*whole, strict=True))
    if len(first) < _FEWEST or not (_normalised(first) or _EMBEDDINGS.search(name)):
        return None
    before, after = _cosines(first), _cosines(second)
    order = np.sort(before, axis=-1)
    clear = order[:, -1] - order[:, -2] >= _LEADS
    same = (before.argmax(-1) == after.argmax(-1))[clear]
    return float(same.mean()) if same.size else None


def _normalised(values: Values) -> bool:
    return bool((np.abs(np.linalg.norm(values, axis=-1) - 1) < _ONE).all())


def probabilities(values: Values, axis: int) -> bool:
    return bool((values >= 0).all() and (np.abs(values.sum(axis) - 1) < _ONE).all())


def _clear(first: Values, second: Values) -> npt.NDArray[np.bool_]:
    """Rows whose largest element leads by more than the usual error of the two that lead: others
    change their best for next to nothing.
    """
    order = np.argsort(first, axis=-1)[:, -2:]
    leading = np.take_along_axis(first, order, -1)
    error = np.abs(first - second)
    usual = np.full(first.shape[1], np.median(error))
    if len(first) >= _MANY:
        usual = np.maximum(usual, np.median(error, axis=0))
    bound = _CLEAR * 1.4826 * usual[order].max(-1)
    return np.asarray(leading[:, 1] - leading[:, 0] > bound)


def _cosines(rows: Floats) -> Floats:
    """Of each row with each other one; with itself, as far as can be."""
    lengths = np.linalg.norm(rows, axis=-1, keepdims=True)
    unit = np.divide(rows, lengths, out=np.zeros_like(rows), where=lengths > 0)
    found: Floats = unit @ unit.T
    np.fill_diagonal(found, -1.0)
    return found


def _divergence(first: Floats, second: Floats) -> Floats:
    """KL(softmax(first) || softmax(second)) of each row."""
    p, q = _log_softmax(first), _log_softmax(second)
    found: Floats = (np.exp(p) * (p - q)).sum(-1)
    return np.maximum(found, 0.0)


def _log_softmax(rows: Floats) -> Floats:
    shifted: Floats = rows - rows.max(-1, keepdims=True)
    logs: Floats = shifted - np.log(np.exp(shifted).sum(-1, keepdims=True))
    return logs


def rows_along(first: Values, second: Values, axis: int) -> tuple[Values, Values]:
    """Both with one axis last, and all others one."""
    return tuple(  # type: ignore[return-value]
        np.moveaxis(values, axis, -1).reshape(-1, values.shape[axis]) for values in (first, second)
    )
