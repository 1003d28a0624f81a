"""A report: every verdict of one request, with the versions they are about, sealed against edits by
hand.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from pytest_modelport.core.errors import UsageError
from pytest_modelport.core.route import Route
from pytest_modelport.core.rows import Fields, ListOf, MapOf, faults
from pytest_modelport.core.verdict import TEST, Key, Outcome, Verdict, worst

SCHEMA = 1
#: What is particular to one run of a suite, in a report's environment.
_OF_THE_RUN = ("shard", "run")


def sealed(document: Mapping[str, Any]) -> dict[str, Any]:
    """The document with the SHA-256 of its contents, so that one edited by hand is noticed. It is
    no signature.
    """
    return {**document, "sha256": _digest(document)}


def unsealed(document: Mapping[str, Any], name: str) -> None:
    """Raises `UsageError` for a document that is not as it was sealed."""
    body = {key: value for key, value in document.items() if key != "sha256"}
    if document.get("sha256") != _digest(body):
        raise UsageError(
            f"{name} was edited: its contents are not those it was sealed with (sha256 differs)"
        )


def _no_number(text: str) -> float:
    raise ValueError(f"{text} is not a number in JSON")


def _digest(document: Mapping[str, Any]) -> str:
    """Raises `UsageError` for numbers that JSON does not have; a text may stand for them."""
    try:
        text = json.dumps(document, sort_keys=True, separators=(",", ":"), allow_nan=False)
    except (ValueError, RecursionError) as error:
        raise UsageError(f"not a Modelport report: {error}") from error
    return hashlib.sha256(text.encode()).hexdigest()


def lost(before: Iterable[Verdict], after: Iterable[Verdict]) -> list[str]:
    """Checks that a route was asked before and is not any more. One that is not green may have
    ended before it came to them.
    """
    now = tuple(after)
    asked = {verdict.check for verdict in before} - {verdict.check for verdict in now} - {TEST}
    return sorted(asked) if worst(now).passed else []


@dataclass(frozen=True)
class Report:
    """Every verdict of one request, and the versions they are about. deselected: routes that a run
    knew and was told to leave out.
    """

    verdicts: tuple[Verdict, ...]
    environment: Mapping[str, str] = field(default_factory=dict)
    deselected: tuple[Key, ...] = ()

    @property
    def routes(self) -> dict[Route, tuple[Verdict, ...]]:
        """The verdicts by route, in the order the routes were asked for."""
        routes: dict[Route, tuple[Verdict, ...]] = {}
        for verdict in self.verdicts:
            routes[verdict.route] = (*routes.get(verdict.route, ()), verdict)
        return routes

    @property
    def items(self) -> dict[Key, tuple[Verdict, ...]]:
        """The verdicts by test file, subject and route's id, in the order they were reached."""
        items: dict[Key, tuple[Verdict, ...]] = {}
        for verdict in self.verdicts:
            key = (verdict.suite, verdict.subject, verdict.route.id)
            items[key] = (*items.get(key, ()), verdict)
        return items

    def otherwise(self, before: Report) -> list[tuple[str, str, str]]:
        """Name, version then and version now of all that differs in their environments."""
        old, new = (
            {k: v for k, v in one.environment.items() if k not in _OF_THE_RUN}
            for one in (before, self)
        )
        pairs = [
            (name, old.get(name, "nothing"), new.get(name, "nothing"))
            for name in sorted(old.keys() | new.keys())
        ]
        return [(name, then, now) for name, then, now in pairs if then != now]

    @property
    def outcomes(self) -> dict[str, Outcome]:
        """Each route's id with its outcome, which is its worst verdict's."""
        return {route.id: worst(verdicts).outcome for route, verdicts in self.routes.items()}

    @property
    def passed(self) -> bool:
        """Green: at least one route, parity proven on every one of them, and no verdict that is
        anything but passed.
        """
        routes = self.routes.values()
        return (
            bool(routes)
            and all(any(verdict.check == "parity" for verdict in verdicts) for verdicts in routes)
            and all(verdict.passed for verdict in self.verdicts)
        )

    @property
    def as_expected(self) -> bool:
        """Green but for routes that their tests expect to fail (xfail): what a whole run of pytest
        is called green for.
        """
        left = tuple(verdict for verdict in self.verdicts if "xfail" not in verdict.evidence)
        return Report(left).passed

    def __str__(self) -> str:
        rows = [f"{v.route.id}: {v.check} {v.outcome.value}: {v.reason}" for v in self.verdicts]
        return "\n".join(
            [f"{'passed' if self.passed else 'not passed'}: {len(self.routes)} routes", *rows]
        )

    def to_dict(self) -> dict[str, Any]:
        """The report as JSON values, with the schema's version, sealed."""
        document = {
            "schema": SCHEMA,
            "passed": self.passed,
            "environment": dict(self.environment),
            "verdicts": [verdict.to_dict() for verdict in self.verdicts],
            **({"deselected": [list(key) for key in self.deselected]} if self.deselected else {}),
        }
        return sealed(json.loads(json.dumps(document, allow_nan=False)))

    def to_json(self, *, indent: int | None = 2) -> str:
        """JSON text; strict (no NaN)."""
        return json.dumps(self.to_dict(), indent=indent, allow_nan=False)

    @classmethod
    def from_json(cls, text: str) -> Report:
        """The inverse of `to_json`. Raises `UsageError` for other documents, other schema versions
        and edited results.
        """
        try:
            document = json.loads(text, parse_constant=_no_number)
        except (ValueError, RecursionError) as error:
            raise UsageError(f"not a Modelport report: {error}") from error
        return cls.from_dict(document)

    @classmethod
    def from_dict(cls, document: Any) -> Report:
        """The inverse of `to_dict`. Raises `UsageError` as `from_json`."""
        schema = document.get("schema") if isinstance(document, dict) else None
        if isinstance(schema, int) and schema > SCHEMA:
            raise UsageError(
                f"report schema {schema} is of a later version: upgrade pytest-modelport to read it"
            )
        if schema != SCHEMA:
            raise UsageError(
                f"report schema {schema!r} is not readable here: this version reads schema {SCHEMA}"
            )
        unsealed(document, "the report")
        try:
            rows, surroundings, passed = (
                document["verdicts"],
                dict(document["environment"]),
                document["passed"],
            )
        except (KeyError, TypeError, ValueError) as error:
            raise UsageError(f"not a Modelport report: {error!r}") from error
        try:
            left_out = tuple((str(a), str(b), str(c)) for a, b, c in document.get("deselected", ()))
        except (TypeError, ValueError) as error:
            raise UsageError(f"not a Modelport report: {error!r}") from error
        wrong = [*faults(rows, ListOf(Fields({}))), *faults(surroundings, MapOf(str))]
        if wrong:
            raise UsageError(f"not a Modelport report: {wrong[0]}")
        report = cls(tuple(map(Verdict.from_dict, rows)), surroundings, left_out)
        if report.passed != passed:
            raise UsageError(
                f"report says passed={passed} but its verdicts say {report.passed}: it was edited"
            )
        return report
