"""A report for people on GitHub: a table for the step's summary, and an annotation for each route
that is not green.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from pytest_modelport.core.plain import printable
from pytest_modelport.core.report import Report
from pytest_modelport.core.verdict import Outcome, worst

_SIGN = {Outcome.PASSED: "🟢", Outcome.SKIPPED: "⚪", Outcome.INCONCLUSIVE: "🟡"}
_BAD = "🔴"
_SHOWN = 50


def render(
    report: Report, changes: Sequence[tuple[str, str]] = (), *, passed: bool | None = None
) -> str:
    """Markdown: the count first, then what is not green, then all the rest folded away. changes:
    since the last release.

    passed: the gate's decision, where one was made.
    """
    items, good = report.items, report.as_expected if passed is None else passed
    outcomes = Counter(str(worst(verdicts).outcome) for verdicts in items.values())
    counted = ", ".join(f"{count} {name}" for name, count in outcomes.most_common()) or "no routes"
    lines = [
        f"## Modelport: {'passed' if good else 'not passed'}",
        "",
        f"{len(items)} routes: {counted}{_left_out(report)}",
        "",
    ]
    bad = {key: verdicts for key, verdicts in items.items() if not worst(verdicts).passed}
    if bad:
        lines += ["| | model | route | why |", "|---|---|---|---|"]
        for (suite, subject, route), verdicts in list(bad.items())[:_SHOWN]:
            verdict = worst(verdicts)
            sign = (
                "⚪ expected," if "xfail" in verdict.evidence else _SIGN.get(verdict.outcome, _BAD)
            )
            cells = [
                f"{sign} {verdict.outcome}",
                _literal(f"{suite} {subject}"),
                _literal(route),
                _literal(verdict.reason),
            ]
            bars = (cell.replace("|", "\\|") for cell in cells)
            lines.append(f"| {' | '.join(bars)} |")
        lines += ["", f"and {len(bad) - _SHOWN} more"] if len(bad) > _SHOWN else []
        lines.append("")
    if changes:
        lines += [
            "### Since the last release",
            "",
            *(f"* {kind}: {_literal(said)}" for kind, said in changes),
            "",
        ]
    green = [key for key in items if key not in bad]
    if green:
        lines += ["<details><summary>passed</summary>", ""]
        lines += [
            f"* {_literal(f'{suite} {subject}')} {_literal(route)}"
            for suite, subject, route in green
        ]
        lines += ["", "</details>"]
    return "\n".join(lines)


def _left_out(report: Report) -> str:
    count = len(report.deselected)
    return f"; {count} more left out of the run" if count else ""


def _literal(text: str) -> str:
    """As code, in which GitHub sees no link, picture, mention, tag or formula."""
    words = " ".join(printable(text).split()).replace("`", "'")
    return f"`{words}`" if words else ""


def workflow(report: Report) -> Iterator[str]:
    """GitHub's workflow commands, one for each route that is not green."""
    for (suite, subject, route), verdicts in report.items.items():
        verdict = worst(verdicts)
        if not verdict.passed and "xfail" not in verdict.evidence:
            level, title = (
                "warning" if verdict.outcome in _SIGN else "error",
                f"{subject} {route} {verdict.outcome}",
            )
            yield f"::{level} file={_value(suite)},title={_value(title)}::{_text(verdict.reason)}"


def _text(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _value(text: str) -> str:
    return _text(text).replace(":", "%3A").replace(",", "%2C")
