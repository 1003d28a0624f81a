"""What a transform may cost: floors for what is left of the original's answers."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields, replace
from typing import Any

from pytest_modelport.core.errors import UsageError, unknown


@dataclass(frozen=True)
class Floors:
    """Limits for the check `quality`; None: not limited.

    sqnr_db: signal over error, in decibels, of each output. top1: share of rows whose largest
    element stays the same. cosine: of the worst row. kl: the most divergence between the softmax of
    rows, in nats, on average. metric_drop: how much less the user's metric may be; metric_ratio:
    which share of it must be left (MLPerf: 0.99 of float32's). slice_db: signal over error of the
    worst slice along any axis, by its own size. neighbours: share of embeddings whose nearest one
    stays the same; where nobody says, as `top1`. size_ratio: bytes that the artifact stores in
    tensors over those of the untransformed one.
    """

    sqnr_db: float | None = None
    top1: float | None = None
    cosine: float | None = None
    kl: float | None = None
    metric_drop: float | None = None
    metric_ratio: float | None = None
    slice_db: float | None = None
    neighbours: float | None = None
    size_ratio: float | None = None

    @property
    def enough(self) -> bool:
        """Whether both the size of errors and what they do to answers are limited: each alone has
        passed garbage.
        """
        distribution = (self.sqnr_db, self.kl, self.metric_drop, self.metric_ratio)
        return any(limit is not None for limit in distribution) and (
            self.top1 is not None or self.cosine is not None
        )

    def but(self, given: Mapping[str, float]) -> Floors:
        """These, with others in the place of some."""
        return replace(self, **given)


#: By what a transform does, measured on networks trained on digits (docs/measured/transforms.md). A
#: row that shrinks must.
FLOORS: Mapping[str, Floors] = {
    "exact": Floors(sqnr_db=100, cosine=0.9999),
    "fp16": Floors(sqnr_db=50, top1=0.99, size_ratio=0.95),
    "bf16": Floors(sqnr_db=35, top1=0.99, size_ratio=0.95),
    "autocast": Floors(sqnr_db=35, top1=0.99),
    "int8_weight": Floors(sqnr_db=35, top1=0.99, metric_drop=0.01, size_ratio=0.95),
    "int8_dynamic": Floors(sqnr_db=30, top1=0.985, metric_drop=0.01, size_ratio=0.95),
    "int8_static": Floors(sqnr_db=20, top1=0.98, metric_drop=0.01, size_ratio=0.95),
    "int4_weight": Floors(sqnr_db=18, top1=0.98, metric_drop=0.02, size_ratio=0.95),
    "fp8_weight": Floors(sqnr_db=25, top1=0.98, metric_drop=0.02, size_ratio=0.95),
    "pruned": Floors(sqnr_db=5, top1=0.95, metric_drop=0.02),
    "cut": Floors(sqnr_db=5, top1=0.95, metric_drop=0.02, size_ratio=0.95),
    "custom": Floors(),
}
#: Trained again: numbers inside are others, and only what the model is for can be compared.
TRAINED = Floors(top1=0.95, metric_drop=0.02)
#: The keys of `quality=` that are no floors.
_NO_FLOORS = CLASS_AXIS, OUTPUTS, TRANSFORMS = "class_axis", "outputs", "transforms"
#: From these decibels on a floor is about answers that are nearly the original's, slice by slice.
_SLICED = 15.0
#: A quantization whose answers lie so near the original's has changed nothing.
NOTHING_DB = 100.0


def floors_for(
    names: Iterable[str], *, metric: bool, trained: bool, given: Mapping[str, float]
) -> Floors:
    """The floors of a chain: the loosest of its steps', then what the user says.

    metric: whether the user's own is measured: what a pruned model still knows is then better asked
    of it than of its numbers.
    """
    rows = [FLOORS[name] for name in names]
    floors = TRAINED if trained and metric else _loosest(rows)
    if (
        metric
        and floors.sqnr_db is not None
        and any(row in (FLOORS["pruned"], FLOORS["cut"]) for row in rows)
    ):
        floors = replace(floors, sqnr_db=None)
    if not metric:
        floors = replace(floors, metric_drop=None)
    if floors.sqnr_db is not None and floors.sqnr_db >= _SLICED:
        floors = replace(floors, slice_db=0.0)  # as much error as signal: nothing of it is left
    return floors.but(given)


def floors_of(quality: Mapping[str, Any], names: Iterable[str]) -> dict[str, float]:
    """The user's floors for a route whose transforms have these names, the last one's first in
    rank, of all that `quality=` says.
    """
    found = {key: value for key, value in quality.items() if key not in _NO_FLOORS}
    by_name = quality.get(TRANSFORMS, {})
    for name in names:
        found |= by_name.get(name, {})
    return found


def _loosest(rows: list[Floors]) -> Floors:
    """Exact steps ask nothing more of a chain whose other steps do cost something."""
    rows = [row for row in rows if row is not FLOORS["exact"]] or rows

    def limit(name: str, loosest: Any, *, of_all: bool = True) -> float | None:
        values = [value for row in rows if (value := getattr(row, name)) is not None]
        return loosest(values) if values and (len(values) == len(rows) or not of_all) else None

    return Floors(
        sqnr_db=limit("sqnr_db", min),
        top1=limit("top1", min),
        cosine=limit("cosine", min),
        metric_drop=limit("metric_drop", max, of_all=False),
        size_ratio=limit("size_ratio", min, of_all=False),
    )


_NAMES = tuple(item.name for item in fields(Floors))
#: Floors that are about one output.
_OF_OUTPUTS = ("sqnr_db", "top1", "cosine", "kl", "slice_db", "neighbours")


def quality_of(given: Mapping[str, Any] | None) -> dict[str, Any]:
    """The user's floors: `{"sqnr_db": 20, "top1": 0.98, "metric_drop": 0.01, "size_ratio": 0.5}`.
    Beside them `class_axis`, the axis of class scores, of all outputs or of each by name;
    `outputs`, floors of single outputs by name; `transforms`, floors of the routes with a
    transform, by its name or as it is written. Raises `UsageError`.
    """
    if given is not None and not isinstance(given, Mapping):
        raise UsageError(f"quality is {given!r}: give a dict such as {{'top1': 0.98}}")
    given = dict(given or {})
    plain = {key: value for key, value in given.items() if key not in _NO_FLOORS}
    _check_floors(plain, "quality", _NAMES, (*_NAMES, *_NO_FLOORS))
    if CLASS_AXIS in given:
        _check_axis(given[CLASS_AXIS])
    for key, names in ((OUTPUTS, _OF_OUTPUTS), (TRANSFORMS, _NAMES)):
        by_name = given.get(key, {})
        if not isinstance(by_name, Mapping) or not all(
            isinstance(floors, Mapping) for floors in by_name.values()
        ):
            raise UsageError(
                f"quality {key} is {by_name!r}: give floors by name, {{'name': {{'top1': 0.98}}}}"
            )
        for name, floors in by_name.items():
            _check_floors(floors, f"quality {key} {name!r}", names, names)
    return given


def _check_floors(
    given: Mapping[str, Any], where: str, names: tuple[str, ...], known: tuple[str, ...]
) -> None:
    for key, value in given.items():
        if key not in names:
            raise unknown(f"{where} floor", key, known)
        if (
            isinstance(value, bool)
            or not isinstance(value, (int, float))
            or not math.isfinite(value)
        ):
            raise UsageError(f"{where} {key} is {value!r}: give a number")
        if key in ("top1", "cosine", "metric_ratio", "neighbours") and not 0 <= value <= 1:
            raise UsageError(f"{where} {key} is {value!r}: give a share between 0 and 1")


def _check_axis(value: Any) -> None:
    axes = list(value.values()) if isinstance(value, Mapping) else [value]
    if not axes or not all(isinstance(axis, int) and not isinstance(axis, bool) for axis in axes):
        raise UsageError(
            f"quality {CLASS_AXIS} is {value!r}: give an axis, or {{'output': axis}} by name"
        )
