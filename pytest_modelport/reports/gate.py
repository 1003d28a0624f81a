"""A release decision: a report held against the last release's and against what the project asks.

Decisions are data: `[tool.modelport.gate]` names targets that must pass and routes that may fail
until a date, with a reason.
"""

from __future__ import annotations

import datetime as dt
import fnmatch
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

from pytest_modelport.core.errors import UsageError, unknown
from pytest_modelport.core.report import Report, lost
from pytest_modelport.core.route import MISSING
from pytest_modelport.core.verdict import Key, Outcome, Verdict, spelled, worst

#: How much wider an allowance may become without a word.
_WIDER = 1.5


class Exit(IntEnum):
    """What `modelport gate` ends with."""

    PASSED = 0
    FAILED = 1
    USAGE = 2
    INCONCLUSIVE = 3


@dataclass(frozen=True)
class AllowedFailure:
    """A route that may fail. routes: a pattern of its id. until: the last day."""

    routes: str
    until: dt.date
    reason: str


@dataclass(frozen=True)
class Policy:
    """require: targets that some green route must have. may_fail: what is known and let through for
    a time. may_be_left_out: patterns of what a run may deselect, `tests/slow/*` or `*tvm*`.
    """

    require: tuple[str, ...] = ()
    may_fail: tuple[AllowedFailure, ...] = ()
    may_be_left_out: tuple[str, ...] = ()


@dataclass(frozen=True)
class Change:
    """One thing that a reader should know. kind: `new missing regressed fixed allowance environment
    known required`.

    outcome: what it does to the decision.
    """

    kind: str
    outcome: Outcome
    said: str


def policy_of(given: Mapping[str, Any]) -> Policy:
    """`{"require": ["onnx"], "may_fail": [{"routes": "tvm*", "until": 2026-12-31, "reason":
    "..."}]}`. Raises `UsageError`.
    """
    for key in given:
        if key not in _KEYS:
            raise unknown("key of tool.modelport.gate", key, _KEYS)
    require, rows = _names(given, "require", "targets"), given.get("may_fail", [])
    left_out = _names(given, "may_be_left_out", "patterns")
    if not isinstance(rows, list):
        raise UsageError(
            f"tool.modelport.gate: may_fail is {rows!r}: give tables with routes, until and reason"
        )
    return Policy(require, tuple(map(_exception, rows)), left_out)


_KEYS = ("require", "may_fail", "may_be_left_out")


def _names(given: Mapping[str, Any], key: str, of: str) -> tuple[str, ...]:
    names = given.get(key, [])
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise UsageError(f"tool.modelport.gate: {key} is {names!r}: give a list of {of}")
    return tuple(names)


def _exception(row: Any) -> AllowedFailure:
    if not isinstance(row, Mapping) or set(row) != {"routes", "until", "reason"}:
        raise UsageError(
            f"tool.modelport.gate: may_fail has {row!r}: give routes, until and reason"
        )
    until = row["until"]
    if isinstance(until, dt.datetime):
        until = until.date()
    if isinstance(until, str):
        try:
            until = dt.date.fromisoformat(until)
        except ValueError:
            until = None
    if not isinstance(until, dt.date) or not str(row["reason"]).strip():
        raise UsageError(
            f"tool.modelport.gate: may_fail {row['routes']!r} needs "
            "a date (2026-12-31) and a reason"
        )
    return AllowedFailure(str(row["routes"]), until, str(row["reason"]))


def decided(
    new: Report, old: Report | None, policy: Policy, today: dt.date
) -> tuple[Exit, tuple[Change, ...]]:
    """The decision and everything behind it, worst first."""
    found = [
        *_routes(new, old, policy, today),
        *_required(new, policy),
        *_shards(new),
        *_left_out(new, policy),
    ]
    if old is not None:
        found += _since(new, old)
        versions = new.otherwise(old)
        found += [
            Change("environment", Outcome.PASSED, f"{name} was {then} and is {now}")
            for name, then, now in versions
        ]
    if not any(worst(verdicts).passed for verdicts in new.items.values()) and all(
        c.outcome is Outcome.PASSED for c in found
    ):
        said = "no route passed" if new.verdicts else "the report has no routes"
        found.append(Change("missing", Outcome.FAILED, f"{said}: nothing was proven"))
    changes = tuple(sorted(found, key=lambda change: -change.outcome.severity))
    worst_of = max(
        (change.outcome for change in changes),
        key=lambda outcome: outcome.severity,
        default=Outcome.PASSED,
    )
    if worst_of is Outcome.PASSED:
        return Exit.PASSED, changes
    undecided = worst_of in (Outcome.SKIPPED, Outcome.INCONCLUSIVE)
    return (Exit.INCONCLUSIVE if undecided else Exit.FAILED), changes


def _routes(new: Report, old: Report | None, policy: Policy, today: dt.date) -> Iterator[Change]:
    """What is not green, and whether it is known."""
    for key, verdicts in new.items.items():
        verdict = worst(verdicts)
        if verdict.passed:
            if not any(one.check == "parity" for one in verdicts):
                yield Change(
                    "required", Outcome.FAILED, f"{spelled(key)}: the check parity did not run"
                )
            continue
        before = old.items.get(key) if old else None
        was_green = before is not None and worst(before).passed
        excuse = _excuse(key, verdict, policy, today, was_green=was_green)
        if excuse is None:
            yield Change(
                "regressed",
                verdict.outcome,
                f"{spelled(key)} is {verdict.outcome}: {verdict.reason}",
            )
        else:
            outcome, said = excuse
            yield Change("known", outcome, f"{spelled(key)} is {verdict.outcome}, {said}")


def _excuse(
    key: Key, verdict: Verdict, policy: Policy, today: dt.date, *, was_green: bool
) -> tuple[Outcome, str] | None:
    """Whether a route that is not green is let through, and why. Part of a run that is missing
    never is; an xfail says nothing about what the last release could do.
    """
    if verdict.route.target == MISSING:
        return None
    asked = "unasked" not in verdict.evidence
    if "xfail" in verdict.evidence and asked and not was_green:
        return Outcome.PASSED, f"as its test expects: {verdict.evidence['xfail']}"
    rows = [row for row in policy.may_fail if fnmatch.fnmatchcase(key[2], row.routes)]
    if not rows and not asked:
        return Outcome.INCONCLUSIVE, f"and was never asked: {verdict.evidence['xfail']}"
    if not rows:
        return None
    last = max(rows, key=lambda row: row.until)
    said = f"which may fail until {last.until}: {last.reason}"
    return (Outcome.FAILED if today > last.until else Outcome.PASSED), said


def _required(new: Report, policy: Policy) -> Iterator[Change]:
    green = {verdicts[0].route.target for verdicts in new.items.values() if worst(verdicts).passed}
    for target in policy.require:
        if target not in green:
            yield Change(
                "required", Outcome.FAILED, f"{target} must pass, but no route with it does"
            )


def _shards(new: Report) -> Iterator[Change]:
    if "shard" in new.environment:
        part, _, count = new.environment["shard"].partition("/")
        if count != "1":
            yield Change(
                "missing",
                Outcome.FAILED,
                f"this report is part {part} of {count}: merge all parts first",
            )


def _left_out(new: Report, policy: Policy) -> Iterator[Change]:
    """What the run knew and did not ask: not known, unless the project lets that be."""
    unknown_keys = [
        key
        for key in map(spelled, new.deselected)
        if not any(fnmatch.fnmatchcase(key, pattern) for pattern in policy.may_be_left_out)
    ]
    if unknown_keys:
        shown = ", ".join(unknown_keys[:3])
        more = f" and {len(unknown_keys) - 3} more" if len(unknown_keys) > 3 else ""
        said = f"{shown}{more}: left out of the run; allow it with may_be_left_out, or run all"
        yield Change("missing", Outcome.INCONCLUSIVE, said)


def _since(new: Report, old: Report) -> Iterator[Change]:
    """What the last release had otherwise."""
    after, before = new.items, old.items
    for key in before.keys() - after.keys():
        yield Change(
            "missing", Outcome.FAILED, f"{spelled(key)} was in the last release and is missing"
        )
    for key, verdicts in after.items():
        if key not in before:
            yield Change("new", Outcome.PASSED, f"{spelled(key)} is new")
            continue
        now, then = worst(verdicts), worst(before[key])
        if now.passed and not then.passed:
            yield Change(
                "fixed", Outcome.PASSED, f"{spelled(key)} was {then.outcome} and passes now"
            )
        yield from _allowances(key, verdicts, before[key])


def _allowances(
    key: Key, after: tuple[Verdict, ...], before: tuple[Verdict, ...]
) -> Iterator[Change]:
    """Whether a check is allowed more than it was, or is not asked any more."""
    old = {verdict.check: verdict for verdict in before}
    for check in lost(before, after):
        yield Change(
            "missing",
            Outcome.FAILED,
            f"{spelled(key)}: the check {check} ran for the last release and did not run now",
        )
    for verdict in after:
        now, then = _allowance(verdict), _allowance(old.get(verdict.check, verdict))
        if now is not None and then is not None and now[0] != then[0]:
            yield Change(
                "allowance",
                Outcome.PASSED,
                f"{spelled(key)}: the allowance of {verdict.check} is {now[0]}, before {then[0]}",
            )
        elif now is not None and then is not None and now[1] > _WIDER * then[1] > 0:
            times = f"{now[1] / then[1]:.3g}x"
            said = f"{spelled(key)}: the allowance of {verdict.check} is {times} what it was"
            yield Change("allowance", Outcome.PASSED, said)


def _allowance(verdict: Verdict) -> tuple[str, float] | None:
    """Where an allowance came from, and the noise or numbers behind it."""
    allowance = verdict.evidence.get("allowance")
    if not isinstance(allowance, Mapping):
        return None
    noise = verdict.evidence.get("comparison", {}).get("noise", 0.0)
    size = float(allowance.get("rtol", 0.0)) or float(noise) * float(allowance.get("factor", 1.0))
    source = str(allowance.get("source", ""))
    return source.partition(":")[0], size
