"""What the elements of an input may be, and arrays of them: whole arrays by kind, never element by
element.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from pytest_modelport.core.errors import unknown

Array = npt.NDArray[Any]
#: Single elements that IEEE arithmetic treats in ways of its own: not a number, infinities, a
#: subnormal, the edges of dtypes.
SPECIALS = {
    "nan": np.nan,
    "inf": np.inf,
    "-inf": -np.inf,
    "-0.0": -0.0,
    "1e-40": 1e-40,
    "65520": 65520.0,
    "3e38": 3e38,
}
#: Kinds of values that lie far from the sample's.
FAR = ("large", "huge", "high", "low", "wide", "wider")
_IEEE = ("row of -inf", "huge", "all nan")
#: So many integers may be in order by chance.
_FEW = 3
_MASKS = ("ones", "zeros", "prefix", "suffix", "random", "empty row")


@dataclass(frozen=True)
class Domain:
    """The range of one input's elements.

    family: `float`, `int`, `mask` (bools, and integers or floats that are 0 or 1), or `sorted`
    (integers that ascend along the last axis: offsets, positions). low, high: inclusive; None where
    open. scale: the size of ordinary elements. ieee: also NaN, infinities and numbers far outside
    the sample's. table: integers that choose from a table, or that the user has bounded. only: the
    kinds that the user wants; empty for all.
    """

    family: str
    low: float | None = None
    high: float | None = None
    scale: float = 1.0
    ieee: bool = False
    table: bool = False
    only: tuple[str, ...] = ()

    @property
    def kinds(self) -> tuple[str, ...]:
        """Ways to fill an array, after the user's own values: what was asked for in so many words,
        then simplest first.
        """
        return self.only or self._kinds

    @property
    def _kinds(self) -> tuple[str, ...]:
        if self.family == "mask":
            return _MASKS
        if self.family == "sorted":
            return ("ascending",)
        if self.family == "int":
            return (
                "zeros",
                "uniform",
                *(() if self.table else ("huge",)),
                "max",
                *(() if self.table else ("negative",)),
                "ramp",
                "ties",
                "bounds",
            )
        negative = () if self.low is not None and self.low >= 0 else ("negative",)
        return (
            *(_IEEE if self.ieee else ()),
            "zeros",
            "ones",
            "normal",
            *negative,
            "tiny",
            "large",
            "ties",
            "constant",
        )

    @property
    def usual(self) -> tuple[str, ...]:
        """A few of these ways, unlike each other, that any model of such inputs should take."""
        wanted = {
            "float": ("normal", "large", "negative"),
            "int": ("uniform", "huge") if not self.table else ("uniform", "ramp"),
            "mask": ("prefix", "ones"),
            "sorted": ("ascending",),
        }[self.family]
        return self.only[: len(wanted)] or tuple(kind for kind in wanted if kind in self._kinds)

    @property
    def rare(self) -> tuple[str, ...]:
        """Ways worth a try only where the subject looks at values: far from the sample's."""
        if self.only:
            return ()
        return {
            "float": ("high", "low"),
            "int": () if self.table else ("wide", "wider"),
            "mask": (),
            "sorted": ("wide",),
        }[self.family]

    @property
    def specials(self) -> tuple[str, ...]:
        """Elements that may stand alone among others."""
        return tuple(SPECIALS) if self.ieee and self.family == "float" else ()

    def draw(self, kind: str, shape: tuple[int, ...], rng: np.random.Generator) -> Array:
        """An array of float64 or int64. Raises `KeyError` for a kind that is not among `kinds`."""
        draws = {"mask": _mask, "int": _integers, "float": _floats, "sorted": _ascending}
        drawn = draws[self.family](self, kind, shape, rng)
        closed = kind not in (*_IEEE, "negative", "wide", "wider", "low") and (
            self.low,
            self.high,
        ) != (None, None)
        return np.clip(drawn, self.low, self.high) if closed else drawn

    def narrowed(self, name: str, kinds: Sequence[str]) -> Domain:
        """The same, filled in these ways only. Raises `UsageError` for one that is none of this
        domain's.
        """
        for kind in kinds:
            if kind not in self._kinds:
                raise unknown(f"kind of values for {name!r}", kind, self._kinds)
        return replace(self, only=tuple(kinds))


def domain_of(values: Array, *, rows: int | None = None, ieee: bool = False) -> Domain:
    """The domain that a sample's array suggests. rows: of the table that its integers choose from,
    where it is known.
    """
    finite = values[np.isfinite(values)] if values.dtype.kind == "f" else values
    if rows is None and _is_mask(finite):
        return Domain("mask", 0, 1, ieee=ieee)
    if values.dtype.kind in "iu":
        high = rows - 1 if rows is not None else int(finite.max(initial=1))
        return Domain(
            "sorted" if rows is None and _ascends(values) else "int",
            min(0, int(finite.min(initial=0))),
            high,
            ieee=ieee and rows is None,
            table=rows is not None,
        )
    scale = float(np.abs(finite).mean()) if finite.size else 1.0
    if (
        ieee or finite.size < 2 or finite.min() < 0 or not finite.any()
    ):  # zeros: a first state, a mask that is added
        return Domain("float", scale=scale or 1.0, ieee=ieee)
    return Domain("float", 0.0, 1.0 if finite.max() <= 1 else None, scale or 1.0)


def _is_mask(values: Array) -> bool:
    """Bools; or nothing but 0 and 1, where one value alone could be anything if it is a float."""
    ones = values.size > 1 and np.isin(values, (0, 1)).all() and values.any()
    return values.dtype.kind == "b" or bool(ones and (values.dtype.kind != "f" or not values.all()))


def _ascends(values: Array) -> bool:
    """Whether integers grow along the last axis, from 0 or many: else they may be none at all."""
    rows = np.atleast_1d(values)
    steps = np.diff(rows, axis=-1)
    ordered = bool(steps.size and (steps >= 0).all() and steps.any())
    return ordered and (rows.shape[-1] > _FEW or not rows[..., 0].any())


def _ascending(
    domain: Domain, kind: str, shape: tuple[int, ...], rng: np.random.Generator
) -> Array:
    """From the lowest on, as offsets begin with 0."""
    low, high = int(domain.low or 0), int(domain.high or 0) + (4 if kind == "wide" else 0)
    drawn: Array = np.sort(rng.integers(low, high, shape, endpoint=True), axis=-1)
    drawn[..., :1] = low
    return drawn


def _mask(_: Domain, kind: str, shape: tuple[int, ...], rng: np.random.Generator) -> Array:
    if kind in ("ones", "zeros"):
        return np.full(shape, int(kind == "ones"))
    drawn = rng.integers(0, 2, shape)
    if kind in ("prefix", "suffix") and shape and shape[-1]:
        lengths = rng.integers(1, shape[-1] + 1, (*shape[:-1], 1))
        places = np.arange(shape[-1])[:: 1 if kind == "prefix" else -1]
        return np.asarray((places < lengths).astype(np.int64))
    if kind == "empty row" and shape and shape[0]:
        drawn[0] = 0
    return drawn


def _integers(domain: Domain, kind: str, shape: tuple[int, ...], rng: np.random.Generator) -> Array:
    low, high, count = int(domain.low or 0), int(domain.high or 0), int(np.prod(shape))
    makers: dict[str, Callable[[], Array]] = {
        "zeros": lambda: np.zeros(shape, np.int64),
        "max": lambda: np.full(shape, high),
        "negative": lambda: -rng.integers(1, max(high, 1), shape, endpoint=True),
        "uniform": lambda: rng.integers(low, high, shape, endpoint=True),
        "ramp": lambda: (np.arange(count) % min(high - low + 1, max(count, 1)) + low).reshape(
            shape
        ),
        "ties": lambda: rng.choice(rng.integers(low, high, 2, endpoint=True), shape),
        "bounds": lambda: np.where(np.arange(count) % 2, low, high).reshape(shape),
        # More than float32 holds exactly, and with ieee more than float64 does.
        "huge": lambda: rng.integers(*((2**53, 2**62) if domain.ieee else (2**24, 2**26)), shape),
        "wide": lambda: rng.integers(low - 4, high + 4, shape, endpoint=True),
        "wider": lambda: rng.integers(low - 100, high + 100, shape, endpoint=True),
    }
    return makers[kind]()


def _floats(domain: Domain, kind: str, shape: tuple[int, ...], rng: np.random.Generator) -> Array:
    scale = domain.scale

    def normal() -> Array:
        return rng.standard_normal(shape) * scale

    # Equal numbers that are no powers of two would round alike at every addition: a bias, which no
    # noise foresees.
    even = 2.0 ** round(np.log2(scale))
    makers: dict[str, Callable[[], Array]] = {
        "zeros": lambda: np.zeros(shape),
        "ones": lambda: np.ones(shape),
        "constant": lambda: np.full(shape, even if even != 1 else 2.0),
        "normal": lambda: np.abs(normal()) if domain.low == 0 else normal(),
        "negative": lambda: -np.abs(normal()),
        "tiny": lambda: normal() * 10.0 ** -rng.integers(3, 9),
        "large": lambda: normal() * 100,
        "ties": lambda: np.round(normal() / scale) * even,
        "high": lambda: np.abs(normal()) * 100,
        "low": lambda: -np.abs(normal()) * 100,
        "huge": lambda: normal() * 1e4,
        "row of -inf": lambda: _row(normal(), -np.inf),
        "all nan": lambda: np.full(shape, np.nan),
    }
    return makers[kind]()


def _row(array: Array, value: float) -> Array:
    """The first row all one value."""
    if array.ndim > 1 and array.shape[-2]:
        array[..., 0, :] = value
    return array


def tensor_of(array: Array, dtype: torch.dtype) -> torch.Tensor:
    """The array in a tensor of this dtype, saturated where an integer dtype is too narrow."""
    if not dtype.is_floating_point and not dtype.is_complex and dtype != torch.bool:
        bounds = torch.iinfo(dtype)
        array = np.clip(array, bounds.min, bounds.max)
    return torch.from_numpy(np.ascontiguousarray(array)).to(dtype).reshape(array.shape)


def stretched(values: torch.Tensor, shape: tuple[int, ...]) -> torch.Tensor:
    """The user's own values, repeated or cut along each axis to this shape; a new tensor. Integers
    that ascend still do: the last one is repeated.
    """
    grows = values.dtype in (torch.int32, torch.int64) and _ascends(values.cpu().numpy())
    for axis, size in enumerate(shape):
        had = values.shape[axis]
        if size != had:
            index = torch.arange(size if had else 0)
            last = grows and axis == values.dim() - 1
            index = index.clamp(max=had - 1) if last else index % max(had, 1)
            values = values.index_select(axis, index)
    return values.clone()
