"""Transforms as they are written: `fp16`, `prune_global(amount=0.4)`, `T.prune_global(amount=0.4) |
T.pt2e_static()`.

A chain's steps are applied from left to right. In a route they are text; functions of the user's go
by their name.
"""

from __future__ import annotations

import pkgutil
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from pytest_modelport.core.errors import UsageError
from pytest_modelport.core.package import ROOT
from pytest_modelport.core.target import named, spelled

#: A transform of the user's own: takes a copy of the model, and returns what it has become; None:
#: changed in place.
Function = Callable[[Any], Any]


@dataclass(frozen=True)
class TransformStep:
    """One transform. options: in the order given, as text. function: the user's own, which is
    called by its name.
    """

    name: str
    options: tuple[tuple[str, str], ...] = ()
    function: Function | None = None

    def __str__(self) -> str:
        options = ",".join(f"{key}={value}" for key, value in self.options)
        return f"{self.name}({options})" if options else self.name


@dataclass(frozen=True)
class TransformChain:
    """Transforms, one after the other. `|` adds further ones."""

    steps: tuple[TransformStep, ...]

    def __or__(self, other: Any) -> TransformChain:
        return TransformChain((*self.steps, *chain_of(other).steps))

    def __ror__(self, other: Any) -> TransformChain:
        return chain_of(other) | self

    def __str__(self) -> str:
        return "|".join(map(str, self.steps))


def chain_of(value: Any) -> TransformChain:
    """A chain from what a user may write: a `TransformChain`, its text, or a function. Raises
    `UsageError`.
    """
    if isinstance(value, TransformChain):
        return value
    if isinstance(value, str):
        return TransformChain(tuple(_step(part) for part in value.split("|")))
    if callable(value):
        name = getattr(value, "__name__", "")
        if not name.isidentifier():
            raise UsageError(
                f"transform {value!r} has no name of its own: give a function made with def"
            )
        return TransformChain((TransformStep(name, (), value),))
    raise UsageError(
        f"transform {value!r} is not one: "
        "give a name, a chain T.name(option=value) | ..., or a function"
    )


def _step(text: str) -> TransformStep:
    return TransformStep(*named(text))


class TransformNames:
    """`T`: every transform by its name, called with its options: `T.prune_global(amount=0.4)`."""

    def __getattr__(self, name: str) -> Callable[..., TransformChain]:
        if name.startswith("__"):  # Python asks any object for such names
            raise AttributeError(name)

        def step(**options: Any) -> TransformChain:
            return TransformChain(
                (
                    TransformStep(
                        name, tuple((key, spelled(value)) for key, value in options.items())
                    ),
                )
            )

        return step

    def __dir__(self) -> list[str]:
        files = pkgutil.iter_modules([str(ROOT / "backends" / "transforms")])
        return [module.name for module in files if not module.name.startswith("_")]


T = TransformNames()
