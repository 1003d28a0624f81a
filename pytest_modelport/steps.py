"""A route's transforms, found again by their text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pytest_modelport import shelf
from pytest_modelport.chain import Function, chain_of
from pytest_modelport.contract import Transform
from pytest_modelport.target import valued
from pytest_modelport.work import ModuleWork


@dataclass(frozen=True)
class Own:
    """A function of the user's as a transform."""

    function: Function
    REQUIRES: Mapping[str, str] = field(default_factory=dict)
    EXTRA: str = ""
    ON: str = "subject"
    PRICE: str = "custom"

    def apply(self, work: ModuleWork) -> Any:
        """The function's result; the module itself where it returns nothing."""
        made = self.function(work.module)
        return work.module if made is None else made


@dataclass(frozen=True)
class Move:
    """One step of a chain: its text, the transform, its options' values."""

    text: str
    transform: Transform
    options: Mapping[str, Any]

    @property
    def on_file(self) -> bool:
        """Whether it changes the artifact, not the model."""
        return self.transform.ON != "subject"

    @property
    def lossy(self) -> bool:
        """Whether answers may change."""
        return self.transform.PRICE != "exact"


def moves(texts: Sequence[str], functions: Mapping[str, Function]) -> tuple[Move, ...]:
    """The transforms that a route names, in order. Raises `UsageError` for names that are not known."""
    found = []
    for text in texts:
        (step,) = chain_of(text).steps
        own = functions.get(step.name)
        transform: Any = Own(own) if own is not None else shelf.transform(step.name)
        found.append(Move(text, transform, dict(valued(step.name, step.options, shelf.options(transform)))))
    return tuple(found)
