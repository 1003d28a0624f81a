"""A route's transforms, found again by their text."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pytest_modelport.backends import registry
from pytest_modelport.backends.contract import Transform
from pytest_modelport.backends.transform_work import ModuleWork
from pytest_modelport.core.target import valued
from pytest_modelport.request.transform_chain import Function, chain_of


@dataclass(frozen=True)
class Own:
    """A function of the user's as a transform."""

    function: Function
    REQUIRES: Mapping[str, str] = field(default_factory=dict)
    EXTRA: str = ""
    ON: str = "subject"
    FLOOR: str = "custom"

    def apply(self, work: ModuleWork) -> Any:
        """The function's result; the module itself where it returns nothing."""
        made = self.function(work.module)
        return work.module if made is None else made


@dataclass(frozen=True)
class RouteTransform:
    """One step of a chain: its text, the transform, its options' values."""

    text: str
    item: Transform
    options: Mapping[str, Any]

    def hold(self, faults: Iterable[str]) -> None:
        """Raises `BrokenItem`, or `TypeError` for a function of the user's, where it has done
        something else than its contract says.
        """
        if not isinstance(self.item, Own):
            registry.hold("transforms", self.text.partition("(")[0], faults)
        elif said := "; ".join(faults):
            raise TypeError(f"{self.text} {said}")

    @property
    def on_file(self) -> bool:
        """Whether it changes the artifact, not the model."""
        return self.item.ON != "subject"

    @property
    def lossy(self) -> bool:
        """Whether answers may change."""
        return self.item.FLOOR != "exact"


def route_transforms(
    texts: Sequence[str], functions: Mapping[str, Function]
) -> tuple[RouteTransform, ...]:
    """The transforms that a route names, in order. Raises `UsageError` for names that are not
    known.
    """
    found = []
    for text in texts:
        (step,) = chain_of(text).steps
        own = functions.get(step.name)
        transform: Any = Own(own) if own is not None else registry.transform(step.name)
        found.append(
            RouteTransform(
                text, transform, dict(valued(step.name, step.options, registry.options(transform)))
            )
        )
    return tuple(found)
