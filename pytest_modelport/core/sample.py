"""One concrete set of inputs, and the calls a check makes with it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from pytest_modelport.core.errors import UsageError


@dataclass(frozen=True, eq=False)
class Sample:
    """Positional and keyword arguments of one call of the subject."""

    args: tuple[Any, ...] = ()
    kwargs: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def of(cls, value: Any, kwargs: Mapping[str, Any] | None = None) -> Sample:
        """A sample from what a user may give: a `Sample`, a tuple of arguments, or one argument
        that is not a tuple.
        """
        if kwargs is not None and not isinstance(kwargs, Mapping):
            raise UsageError(
                f"kwargs is a {type(kwargs).__name__}: give a dict; "
                "several arguments go into args as a tuple"
            )
        if isinstance(value, Sample):
            if kwargs:
                raise UsageError("kwargs beside a Sample: put them into the Sample itself")
            return value
        return cls(value if isinstance(value, tuple) else (value,), dict(kwargs or {}))


@dataclass(frozen=True, eq=False)
class Call:
    """One step of the sequence that subject and port both go through: a sample and the seed set
    before it.

    `label` says which sample it is, in the user's terms.
    """

    sample: Sample
    seed: int
    label: str


def sequence(first: Sample, further: Iterable[Sample], seed: int) -> tuple[Call, ...]:
    """The calls of a parity run: the first sample twice (state, first-call effects), then the
    others in order.
    """
    labelled = [
        (first, "args"),
        (first, "args again"),
        *((s, f"samples[{i}]") for i, s in enumerate(further)),
    ]
    return tuple(Call(sample, seed + i, label) for i, (sample, label) in enumerate(labelled))
