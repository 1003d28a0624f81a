"""Outcomes, verdicts and the report made of them: frozen values that travel as JSON."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from enum import Enum
from typing import Any

from pytest_modelport.core.errors import UsageError
from pytest_modelport.core.plain import printable_values
from pytest_modelport.core.route import MISSING, Route
from pytest_modelport.core.rows import VERDICT, faults

#: The check of what a test itself did: its own assertions, its fixtures, its skips. No one asks for
#: it.
TEST = "test"
#: Evidence that names what is on the disk, and is opened by that name.
PLACES = ("artifact", "log")
#: A route of one subject in a report: the file of its test, the subject, the route's id.
Key = tuple[str, str, str]


class Outcome(str, Enum):
    """What is known about one question, from best to worst."""

    PASSED = "passed"
    SKIPPED = "skipped"
    INCONCLUSIVE = "inconclusive"
    UNSUPPORTED = "unsupported"
    FAILED = "failed"
    TIMEOUT = "timeout"
    CRASHED = "crashed"
    ERROR = "error"

    @property
    def severity(self) -> int:
        """0 for passed, growing with how bad it is."""
        return list(Outcome).index(self)

    def __str__(self) -> str:
        return self.value


class Stage(str, Enum):
    """Where on the way the verdict was reached."""

    TRANSFORM = "transform"
    EXPORT = "export"
    CONVERT = "convert"
    OPEN = "open"
    RUN = "run"
    COMPARE = "compare"
    BUDGET = "budget"

    def __str__(self) -> str:
        return self.value


@dataclass(frozen=True)
class Verdict:
    """The answer to one check of one route.

    `reason` is one line whose first 60 characters carry the fact. `evidence` holds JSON values
    only: the figures behind the reason, where the allowance came from, and the smallest one that
    would have passed. suite: the file of the test. All texts are printable, whoever wrote them.
    """

    route: Route
    check: str
    stage: Stage
    outcome: Outcome
    reason: str
    evidence: Mapping[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    seconds: float = 0.0
    subject: str = ""
    suite: str = ""

    def __post_init__(self) -> None:
        for name in ("reason", "notes", "subject", "suite"):
            object.__setattr__(self, name, printable_values(getattr(self, name)))
        places = {key: self.evidence[key] for key in PLACES if key in self.evidence}
        evidence = printable_values(self.evidence) if self.evidence else {}
        object.__setattr__(self, "evidence", {**evidence, **places})

    @property
    def passed(self) -> bool:
        return self.outcome is Outcome.PASSED

    @property
    def used(self) -> float | None:
        """How much of its allowance the worst output took: 1 at the limit. None where no magnitudes
        were compared.
        """
        needs, allowance = self.evidence.get("needs"), self.evidence.get("allowance")
        if (
            needs is None
            or allowance is None
            or self.evidence.get("comparison", {}).get("count") == 0
        ):
            return None
        factor = float(allowance.get("factor", 1.0))
        return float(needs) / factor if factor else math.inf

    @property
    def cautions(self) -> tuple[str, ...]:
        """What a reader should know also where all is green."""
        return tuple(self.evidence.get("cautions", ()))

    def to_dict(self) -> dict[str, Any]:
        """The verdict as JSON values."""
        return {
            **asdict(self),
            "route": {**asdict(self.route), "transforms": list(self.route.transforms)},
            "stage": self.stage.value,
            "outcome": self.outcome.value,
            "evidence": dict(self.evidence),
            "notes": list(self.notes),
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Verdict:
        """The inverse of `to_dict`. Raises `UsageError` when a field is missing, unknown or of
        another type.
        """
        if wrong := next(faults(data, VERDICT), ""):
            raise UsageError(f"not a Modelport verdict: {wrong}")
        try:
            route = data["route"]
            return cls(
                **{
                    **data,
                    "route": Route(route["target"], route["device"], tuple(route["transforms"])),
                    "stage": Stage(data["stage"]),
                    "outcome": Outcome(data["outcome"]),
                    "notes": tuple(data["notes"]),
                }
            )
        except (KeyError, TypeError, ValueError) as error:
            raise UsageError(f"not a Modelport verdict: {error!r}") from error


def jsonable(value: Any) -> Any:
    """`value` in JSON's terms: tuples as lists, NaN and infinities as text."""
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if isinstance(value, Mapping):
        return {str(key): jsonable(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [jsonable(item) for item in value]
    return value


def spelled(key: Key) -> str:
    """`tests/test_it.py::test_net onnx-cpu`."""
    suite, subject, route = key
    return f"{suite}::{subject} {route}" if suite else f"{subject} {route}"


def worst(verdicts: Iterable[Verdict]) -> Verdict:
    """The verdict that decides a route: among equally bad ones one that no test expects. Raises
    `ValueError` without any.
    """
    return max(
        verdicts, key=lambda verdict: (verdict.outcome.severity, "xfail" not in verdict.evidence)
    )


def unheard(outcome: Outcome, reason: str, subject: str, suite: str = "") -> Verdict:
    """The verdict in place of those that a test or a part of a run should have given."""
    return Verdict(Route(MISSING), TEST, Stage.RUN, outcome, reason, subject=subject, suite=suite)
