"""The matrix after a run: subject x route with outcome, worst error against its allowance, and
time.
"""

from __future__ import annotations

import io
import math
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from pytest_modelport.core.plain import without_commands
from pytest_modelport.core.verdict import Outcome, Verdict, worst

if TYPE_CHECKING:
    from rich.text import Text

_STYLE = {
    Outcome.PASSED: "green",
    Outcome.SKIPPED: "yellow",
    Outcome.INCONCLUSIVE: "yellow",
}
_BAD = "red"
#: Below this width the reasons, which every failure has given already, make room for the figures.
_WIDE = 110


def render(verdicts: Sequence[Verdict], *, width: int, color: bool) -> str:
    """A table of all routes and a footer on what was not run, as text."""
    from rich.console import Console

    console = Console(
        file=io.StringIO(),
        width=width,
        force_terminal=color,
        color_system="standard" if color else None,
        legacy_windows=False,
    )
    console.print(_table(verdicts, reasons=width >= _WIDE))
    for line in times(verdicts):
        console.print(line, highlight=False, markup=False)
    for line in cautions(verdicts):
        console.print(line, style="yellow" if color else "", highlight=False, markup=False)
    for line in footer(verdicts):
        console.print(line, style="yellow" if color else "", highlight=False, markup=False)
    text = console.file.getvalue()  # type: ignore[attr-defined]
    lines = [line.rstrip() for line in str(text).rstrip().split("\n")]
    return without_commands("\n".join(lines))


def _table(verdicts: Sequence[Verdict], *, reasons: bool) -> object:
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, expand=reasons)
    # The one column that gives way where the width does not do.
    table.add_column("model and route", overflow="fold", max_width=60)
    table.add_column("outcome", no_wrap=True)
    table.add_column("error/allowed", no_wrap=True, justify="right")
    table.add_column("time", no_wrap=True, justify="right")
    if reasons:
        table.add_column("reason", no_wrap=True, overflow="ellipsis", ratio=1)
    previous = None
    for (subject, _), group in _groups(verdicts).items():
        verdict = worst(group)
        style = _STYLE.get(verdict.outcome, _BAD)
        if subject != previous:
            table.add_row(Text(subject))
        seconds = sum(item.seconds for item in group)
        cells = [
            Text(f"  {verdict.route.id}"),
            Text(str(verdict.outcome), style=style),
            Text(used(group)),
            Text(f"{seconds:.1f} s"),
        ]
        table.add_row(*cells, *([_reason(verdict, group)] if reasons else []))
        previous = subject
    return table


def _reason(verdict: Verdict, group: Sequence[Verdict]) -> Text:
    """Why a route is not green; what to know about one that is."""
    from rich.text import Text

    return Text("; ".join(_cautions(group)) if verdict.passed else verdict.reason)


def _cautions(group: Iterable[Verdict]) -> list[str]:
    return list(dict.fromkeys(said for verdict in group for said in verdict.cautions))


def cautions(verdicts: Sequence[Verdict]) -> list[str]:
    """What to know about green routes: each thing, with how many routes it is said of."""
    routes: dict[str, int] = {}
    for (subject, _), group in _groups(verdicts).items():
        if worst(group).passed:
            for said in _cautions(group):
                key = f"{subject}: {said}"
                routes[key] = routes.get(key, 0) + 1
    return [f"{said} ({count} route{'s' * (count > 1)})" for said, count in routes.items()]


def _groups(verdicts: Iterable[Verdict]) -> dict[tuple[str, str], list[Verdict]]:
    """Verdicts by subject and route, subjects together, in the order they were reached."""
    verdicts = list(verdicts)
    suites: dict[str, set[str]] = {}
    for verdict in verdicts:
        suites.setdefault(verdict.subject, set()).add(verdict.suite)
    groups: dict[tuple[str, str], list[Verdict]] = {}
    for verdict in verdicts:
        twice = len(suites[verdict.subject]) > 1  # tests of one name in several files
        subject = f"{verdict.suite}::{verdict.subject}" if twice else verdict.subject
        groups.setdefault((subject, verdict.route.id), []).append(verdict)
    subjects = list(dict.fromkeys(subject for subject, _ in groups))
    return dict(sorted(groups.items(), key=lambda item: subjects.index(item[0][0])))


def used(group: Iterable[Verdict]) -> str:
    """How much of its allowance the worst output used: `0.31`, `17x`; empty when magnitudes were
    not reached.
    """
    shares = [share for verdict in group if (share := verdict.used) is not None]
    if not shares:
        return ""
    share = max(shares)
    return str(share) if math.isinf(share) else f"{share:.2f}" if share < 10 else f"{share:.3g}x"


def times(verdicts: Sequence[Verdict]) -> list[str]:
    """What was timed and what transforms cost: a line for each question, whether it has a budget or
    not.
    """
    measured = [verdict for verdict in verdicts if verdict.check in ("latency", "quality")]
    return [f"{verdict.subject} {verdict.route.id}: {verdict.reason}" for verdict in measured] + [
        ""
    ] * bool(measured)


def footer(verdicts: Sequence[Verdict]) -> list[str]:
    """One line of counts, then one for each reason why routes were skipped."""
    groups = _groups(verdicts)
    outcomes = Counter(str(worst(group).outcome) for group in groups.values())
    lines = [
        f"{len(groups)} route{'s' if len(groups) != 1 else ''}: "
        + ", ".join(f"{count} {name}" for name, count in outcomes.items())
    ]
    skipped = Counter(
        worst(group).reason for group in groups.values() if worst(group).outcome is Outcome.SKIPPED
    )
    return lines + [f"skipped {count}: {reason}" for reason, count in skipped.items()]
