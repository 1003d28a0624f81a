"""Transforms as they are written: `fp16`, `prune_global(amount=0.4)`, `T.prune_global(amount=0.4) | T.pt2e_static()`.

A chain's steps are applied from left to right. In a route they are text; functions of the user's go by their name.
"""

from __future__ import annotations

import pkgutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pytest_modelport.errors import UsageError
from pytest_modelport.target import named, spelled

#: A transform of the user's own: takes a copy of the model, and returns what it has become; None: changed in place.
Function = Callable[[Any], Any]


@dataclass(frozen=True)
class Step:
    """One transform. options: in the order given, as text. function: the user's own, which is called by its name."""

    name: str
    options: tuple[tuple[str, str], ...] = ()
    function: Function | None = None

    def __str__(self) -> str:
        options = ",".join(f"{key}={value}" for key, value in self.options)
        return f"{self.name}({options})" if options else self.name


@dataclass(frozen=True)
class Chain:
    """Transforms, one after the other. `|` adds further ones."""

    steps: tuple[Step, ...]

    def __or__(self, other: Any) -> Chain:
        return Chain((*self.steps, *chain_of(other).steps))

    def __ror__(self, other: Any) -> Chain:
        return chain_of(other) | self

    def __str__(self) -> str:
        return "|".join(map(str, self.steps))


def chain_of(value: Any) -> Chain:
    """A chain from what a user may write: a `Chain`, its text, or a function. Raises `UsageError`."""
    if isinstance(value, Chain):
        return value
    if isinstance(value, str):
        return Chain(tuple(_step(part) for part in value.split("|")))
    if callable(value):
        name = getattr(value, "__name__", "")
        if not name.isidentifier():
            raise UsageError(f"transform {value!r} has no name of its own: give a function made with def")
        return Chain((Step(name, (), value),))
    raise UsageError(f"transform {value!r} is none: give a name, a chain T.name(option=value) | ..., or a function")


def _step(text: str) -> Step:
    return Step(*named(text))


class Shelf:
    """`T`: every transform by its name, called with its options: `T.prune_global(amount=0.4)`."""

    def __getattr__(self, name: str) -> Callable[..., Chain]:
        if name.startswith("__"):  # Python asks any object for such names
            raise AttributeError(name)

        def step(**options: Any) -> Chain:
            return Chain((Step(name, tuple((key, spelled(value)) for key, value in options.items())),))

        return step

    def __dir__(self) -> list[str]:
        return [module.name for module in pkgutil.iter_modules([str(Path(__file__).parent / "transforms")])]


T = Shelf()
