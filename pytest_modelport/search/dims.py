"""The dims that a declaration lets vary: each with its range, and the axes whose sizes follow."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from pytest_modelport.request.dynamic_shapes import Shapes, multiple
from pytest_modelport.subject.inputs import Inputs

#: Sizes beyond this many times the sample's show nothing that smaller ones do not, and cost memory.
_STRETCH, _AT_LEAST = 4, 16
#: More elements than this in one input take seconds.
_ELEMENTS = 1 << 18


@dataclass(frozen=True)
class Axis:
    """How the size of one axis follows from a symbol; `size` is the identity but for derived dims
    (`2 * batch`).
    """

    symbol: str
    size: Callable[[int], int] = field(default=lambda value: value)


@dataclass(frozen=True)
class Symbol:
    """A dim's size in the sample, and the range it is declared to vary in."""

    traced: int
    lowest: int
    highest: int

    @property
    def sizes(self) -> tuple[int, ...]:
        """The traced size, then those where faults live: the edges, the smallest numbers, the
        neighbours.
        """
        low, high, traced = self.lowest, self.highest, self.traced
        wanted = (
            traced,
            1,
            low,
            traced + 1,
            high,
            2,
            3,
            traced - 1,
            low + 1,
            high - 1,
            2 * traced + 1,
        )
        return tuple(dict.fromkeys(size for size in wanted if low <= size <= high))


def dims_of(inputs: Inputs, shapes: Shapes) -> tuple[dict[str, dict[int, Axis]], dict[str, Symbol]]:
    """The axes that vary and what they vary with. A dim's size in the sample is read off an axis
    that is it, or a multiple.
    """
    axes: dict[str, dict[int, Axis]] = {}
    symbols: dict[str, Symbol] = {}
    for item in inputs.tensors:
        for number in sorted(shapes.varying(item.name)):
            axis, bounds = _declared(shapes.axes[item.name][number], f"{item.name}_{number}")
            axes.setdefault(item.name, {})[number] = axis
            had = item.tensor.shape[number]
            traced = next((size for size in range(had, -1, -1) if axis.size(size) == had), None)
            if axis.symbol not in symbols and traced is not None:
                symbols[axis.symbol] = _symbol(traced, item.tensor.numel(), *bounds)
    return {name: _known(declared, symbols) for name, declared in axes.items()}, symbols


def _known(declared: Mapping[int, Axis], symbols: Mapping[str, Symbol]) -> dict[int, Axis]:
    """Without the axes whose size in the sample does not follow from any size of their dim."""
    return {number: axis for number, axis in declared.items() if axis.symbol in symbols}


def _declared(value: Any, unnamed: str) -> tuple[Axis, tuple[int, int | None]]:
    """An axis and the range it is declared in.

    A string promises sizes from 1 up; torch's own dims say what they promise, a `Dim` without a
    minimum and a hint everything.
    """
    if isinstance(value, str):
        factor, name = multiple(value)
        return Axis(name, lambda size: factor * size), (1, None)
    root = getattr(value, "root", value)
    name = getattr(root, "__name__", unnamed)
    size = value.fn if root is not value else (lambda size: size)
    lowest, highest = int(getattr(root, "min", 0) or 0), getattr(root, "max", None)
    return Axis(name, size), (lowest, int(highest) if isinstance(highest, int) else None)


def _symbol(traced: int, elements: int, lowest: int, highest: int | None) -> Symbol:
    """A dim with a declared maximum is tried up to it, unless that takes more elements than a test
    should hold.
    """
    reach = max(_STRETCH * traced, _AT_LEAST, lowest)
    if highest is None:
        return Symbol(traced, lowest, reach)
    affordable = traced * _ELEMENTS // max(elements, 1)
    return Symbol(traced, lowest, min(highest, max(reach, affordable)))
