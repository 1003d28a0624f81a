"""A verdict in words: what differs, where, by how much against what was allowed, and how to see it
again.
"""

from __future__ import annotations

import shlex
import textwrap
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from pytest_modelport.core.plain import printable, without_commands
from pytest_modelport.core.verdict import PLACES, Verdict, worst

#: The whole text, and what one entry of it may take.
_LINES = 25
_WIDTH = 118
_LABEL = 11
_ENTRY_LINES = 3
_TAIL_LINES = 6
#: Entries that are copied into a shell: never broken into lines.
_TO_COPY = (*PLACES, "rerun", "recipe", "smallest", "replay")
#: What exporters add to every message.
_NO_NEWS = (
    "For more information",
    "For extended logs",
    "For C++ stack trace",
    "If you suspect",
    "Caused by: (_export/",
)


def failure(
    verdicts: Iterable[Verdict], *, environment: Mapping[str, str] | None = None, rerun: str = ""
) -> str:
    """At most 25 lines about a route that is not green, the fact first."""
    verdicts = list(verdicts)
    verdict = worst(verdicts)
    what = f"{verdict.check} {verdict.outcome} at {verdict.stage}"
    rows = [("route", f"{verdict.route.id}: {what} (model {verdict.subject})")]
    rows += (
        [("opened in", f"environment {verdict.evidence['environment']}")]
        if "environment" in verdict.evidence
        else []
    )
    rows += _facts(verdict)
    if session := verdict.evidence.get("session"):
        rows.append(("session", ", ".join(f"{key} {value}" for key, value in session.items())))
    rows += [
        ("also", f"{other.check} {other.outcome}: {other.reason}")
        for other in verdicts
        if other is not verdict and not other.passed
    ]
    rows += [("note", note) for note in verdict.notes[:4]]
    if environment:
        rows.append(
            ("versions", ", ".join(f"{name} {version}" for name, version in environment.items()))
        )
    rows += [(key, str(verdict.evidence[key])) for key in PLACES if key in verdict.evidence]
    if rerun:
        rows.append(("rerun", rerun))
    return _layout(verdict.reason, rows)


def _facts(verdict: Verdict) -> list[tuple[str, str]]:
    evidence = verdict.evidence
    rows: list[tuple[str, str]] = []
    rows += _comparison(
        evidence.get("comparison"), evidence.get("allowance"), evidence.get("needs")
    )
    rows += [("where", str(evidence["where"]))] if evidence.get("where") else []
    rows += [("blame", str(evidence["blame"]))] if evidence.get("blame") else []
    rows += [("sample", str(evidence["sample"]))] if evidence.get("sample") else []
    rows += _recipes(evidence)
    rows += _calls(evidence.get("calls"))
    rows += _cause(evidence.get("cause"))
    rows += [
        (key, f"{name}: {said}")
        for key in ("damaged", "unexplained")
        for name, said in evidence.get(key, {}).items()
    ][:5]
    loose = [
        (label, said)
        for label, said in evidence.get("probes", {}).items()
        if "exported model refuses" not in said
    ]
    rows += [("probe", f"{label}: {said}") for label, said in loose[:6]]
    tail = str(evidence.get("tail", "")).strip()
    return rows + (
        [("last words", line) for line in tail.splitlines()[-_TAIL_LINES:]] if tail else []
    )


def _recipes(evidence: Mapping[str, Any]) -> list[tuple[str, str]]:
    """How to make the sample again that a search has found."""
    if "recipe" not in evidence:
        return []
    pace = f", {evidence['per_second']} samples a second" if "per_second" in evidence else ""
    rows = [
        ("found", f"{evidence['share']}{pace}"),
        ("recipe", str(evidence["recipe"])),
    ]
    if evidence.get("smallest") != evidence["recipe"]:
        rows.append(("smallest", str(evidence["smallest"])))
    return [*rows, ("replay", f"--modelport-replay={shlex.quote(str(evidence['recipe']))}")]


def _comparison(measured: Any, allowance: Any, needs: Any) -> list[tuple[str, str]]:
    if not measured:
        return []
    rows = []
    element = measured.get("worst")
    if element:
        oracle = "" if element["oracle"] == element["subject"] else f" (oracle {element['oracle']})"
        text = f"{element['index']}: exported model {element['port']}, "
        text += f"model {element['subject']}{oracle}"
        if element["error"] != "inf":
            text += f"; off by {_figure(element['error'])}"
        rows.append(("worst", text))
    rows.append(
        (
            "output",
            f"'{measured['name']}' {measured['expected']}, {measured['count']} elements compared",
        )
    )
    if measured["error"]:
        error, noise, magnitude = (
            _figure(measured[key]) for key in ("error", "noise", "magnitude")
        )
        rows.append(("overall", f"rms error {error}, noise {noise}, magnitude {magnitude}"))
    if allowance and not (measured["nonfinite"] or measured["different"]):
        rows.append(("allowance", _allowance(allowance, needs)))
    return rows


def _allowance(allowance: Mapping[str, Any], needs: Any) -> str:
    least = _figure(needs)
    if "factor" in allowance:
        return f"{allowance['factor']:g} x {allowance['source']}; it would pass at {least}"
    numbers = (
        f": rtol {allowance['rtol']:g}, atol {allowance['atol']:g}" if "rtol" in allowance else ""
    )
    return f"{allowance['source']}{numbers}; it would pass at {least} times that"


def _figure(value: Any) -> str:
    """Three digits; NaN and infinity, which are text in evidence, as they are."""
    return f"{value:.3g}" if isinstance(value, (int, float)) else str(value)


def _calls(calls: Mapping[str, str] | None) -> list[tuple[str, str]]:
    if not calls or len(set(calls.values())) == 1:
        return []
    return [("calls", ", ".join(f"{label} {outcome}" for label, outcome in calls.items()))]


def _cause(cause: Mapping[str, Any] | None) -> list[tuple[str, str]]:
    if not cause:
        return []
    rows = [(key, str(cause[key])) for key in ("operator", "module", "source") if cause.get(key)]
    said = [
        line.strip()
        for line in str(cause.get("root") or cause.get("message", "")).splitlines()
        if line.strip()
    ]
    return rows + [("said", line) for line in said[1:] if not line.startswith(_NO_NEWS)][:4]


def _layout(reason: str, rows: Iterable[tuple[str, str]]) -> str:
    """The reason, then labelled entries; an entry that repeats the label above it leaves it out."""
    here = f"{Path.cwd()}/"
    lines = _wrapped(reason, _WIDTH)
    previous = ""
    for label, text in rows:
        shown = "" if label == previous else label
        body = (
            [text] if label in _TO_COPY else _wrapped(text.replace(here, ""), _WIDTH - _LABEL - 2)
        )
        for number, line in enumerate(body or [""]):
            lines.append(f"  {(shown if number == 0 else ''):<{_LABEL}}{line}")
        previous = label
    keep = [line for line in lines if line.startswith("  rerun")]
    kept = lines if len(lines) <= _LINES else [*lines[: _LINES - len(keep)], *keep]
    return without_commands(printable("\n".join(kept)))


def _wrapped(text: str, width: int) -> list[str]:
    return textwrap.wrap(
        text, width, max_lines=_ENTRY_LINES, placeholder=" ...", break_on_hyphens=False
    )
