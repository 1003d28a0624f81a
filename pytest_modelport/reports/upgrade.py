"""One suite in two installations: which routes are worse in the second, and what they have in
common.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from pytest_modelport.core.report import Report, lost
from pytest_modelport.core.verdict import Key, Outcome, Verdict, spelled, worst

#: What differs between two routes that fail for one reason: names, shapes and figures.
_PARTICULAR = re.compile(r"'[^']*'|\[[^\]]*\]|[-+]?\d[\d.,]*(?:e[-+]?\d+)?x?")
#: Outcomes that leave a question open.
_OPEN = (Outcome.SKIPPED, Outcome.INCONCLUSIVE)


@dataclass(frozen=True)
class Row:
    """One route, before and after. None where it was not in the run. lost: checks that were asked
    before and were not after.
    """

    key: Key
    before: Verdict | None
    after: Verdict | None
    lost: tuple[str, ...] = ()

    @property
    def kind(self) -> str:
        """`worse`, `gone`, `open` (no longer known), `better`, `new`, `otherwise` (red for another
        reason) or `same`.
        """
        if self.after is None:
            return "gone"
        if self.before is None:
            return "new" if self.after.passed else "worse"
        old, new = self.before.outcome, self.after.outcome
        if self.lost:
            return "worse"
        if old.severity == new.severity:
            same = self.after.passed or cause(self.before) == cause(self.after)
            return "same" if same else "otherwise"
        if new.severity < old.severity:
            return "better"
        return "open" if new in _OPEN else "worse"


@dataclass(frozen=True)
class Upgrade:
    """What became of every route. causes: what those that are not as they were have in common, most
    of them first.
    """

    rows: tuple[Row, ...]
    environment: tuple[tuple[str, str, str], ...]

    @property
    def changed(self) -> tuple[Row, ...]:
        return tuple(row for row in self.rows if row.kind != "same")

    @property
    def outcome(self) -> Outcome:
        """Passed where nothing that was proven is proven no longer."""
        kinds = {row.kind for row in self.rows}
        if not any(row.before is not None and row.before.passed for row in self.rows) or kinds & {
            "worse",
            "gone",
        }:
            return Outcome.FAILED
        return Outcome.INCONCLUSIVE if "open" in kinds else Outcome.PASSED

    @property
    def causes(self) -> dict[str, tuple[Row, ...]]:
        found: dict[str, tuple[Row, ...]] = {}
        for row in self.rows:
            if row.kind in ("worse", "open", "otherwise") and row.after is not None:
                said = f"no longer checked: {', '.join(row.lost)}" if row.lost else cause(row.after)
                found[said] = (*found.get(said, ()), row)
        return dict(sorted(found.items(), key=lambda item: -len(item[1])))


def compared(before: Report, after: Report) -> Upgrade:
    """Every route of either run, those that are worse first."""
    old, new = before.items, after.items
    rows = [_row(key, old.get(key, ()), new.get(key, ())) for key in dict.fromkeys((*old, *new))]
    order = ("worse", "gone", "open", "otherwise", "better", "new", "same")
    return Upgrade(
        tuple(sorted(rows, key=lambda row: order.index(row.kind))), tuple(after.otherwise(before))
    )


def _row(key: Key, before: tuple[Verdict, ...], after: tuple[Verdict, ...]) -> Row:
    missed = tuple(lost(before, after)) if after else ()
    return Row(key, worst(before) if before else None, worst(after) if after else None, missed)


def cause(verdict: Verdict) -> str:
    """Why a route is not green, without what is particular to it: routes with the same one fail
    together.
    """
    raised, where = verdict.evidence.get("cause"), verdict.evidence.get("where")
    if isinstance(raised, Mapping) and raised.get("type"):
        operator = f" at {raised['operator']}" if raised.get("operator") else ""
        return f"{verdict.stage}: {raised['type']}{operator}"
    if where:
        return f"{verdict.stage}: {str(where).partition(' in ')[0]} gives another result"
    return f"{verdict.stage}: {_PARTICULAR.sub('..', verdict.reason)}"


def render(upgrade: Upgrade, *, width: int, color: bool) -> str:
    """The versions, a matrix of what changed, its causes, and one line that sums up."""
    from rich.console import Console
    from rich.text import Text

    console = Console(
        file=io.StringIO(),
        width=width,
        force_terminal=color,
        color_system="standard" if color else None,
        legacy_windows=False,
    )
    for name, old, new in upgrade.environment:
        console.print(Text(f"{name} {old} -> {new}"))
    if not upgrade.environment:
        console.print(Text("the same versions before and after"))
    if upgrade.changed:
        console.print(_matrix(upgrade.changed))
    for said, rows in upgrade.causes.items():
        console.print(Text(f"{len(rows)} route{'s' * (len(rows) != 1)}: {said}"))
        for row in rows[:_SHOWN]:
            assert row.after is not None
            console.print(Text(f"    {spelled(row.key)}: {row.after.reason}"), soft_wrap=True)
        if len(rows) > _SHOWN:
            console.print(Text(f"    and {len(rows) - _SHOWN} more"))
    console.print(Text(summary(upgrade.rows)))
    return "\n".join(line.rstrip() for line in console.file.getvalue().splitlines())  # type: ignore[attr-defined]


#: Routes named under one cause.
_SHOWN = 5


def summary(rows: Iterable[Row]) -> str:
    """`12 routes: 9 same, 2 worse, 1 new`."""
    kinds = [row.kind for row in rows]
    words = {"open": "no longer decided", "otherwise": "failing for another reason"}
    counted = ", ".join(
        f"{kinds.count(kind)} {words.get(kind, kind)}" for kind in dict.fromkeys(reversed(kinds))
    )
    return f"{len(kinds)} routes: {counted}" if kinds else "no routes"


def changes(upgrade: Upgrade) -> list[tuple[str, str]]:
    """What changed, for a report's page: kind and words."""
    versions = [
        ("environment", f"{name} was {old} and is {new}") for name, old, new in upgrade.environment
    ]
    routes = [
        (row.kind, f"{spelled(row.key)}: {_outcome(row.before)}, then {_outcome(row.after)}")
        for row in upgrade.changed
    ]
    return [*routes, *versions]


def _matrix(rows: Iterable[Row]) -> object:
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("model and route", overflow="fold")
    for head in ("", "before", "after"):
        table.add_column(head, no_wrap=True)
    table.add_column("error/allowed", no_wrap=True, justify="right")
    for row in rows:
        cells = (
            spelled(row.key),
            row.kind,
            _outcome(row.before),
            _outcome(row.after),
            _shares(row),
        )
        table.add_row(*map(Text, cells))
    return table


def _outcome(verdict: Verdict | None) -> str:
    return "not there" if verdict is None else str(verdict.outcome)


def _shares(row: Row) -> str:
    found = [
        "" if one is None or one.used is None else f"{one.used:.3g}"
        for one in (row.before, row.after)
    ]
    return " -> ".join(found) if any(found) else ""
