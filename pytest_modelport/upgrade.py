"""One suite in two installations: which routes are worse in the second, and what they have in common."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from pytest_modelport.verdict import Key, Outcome, Report, Verdict, lost, worst

#: What differs between two routes that fail for one reason: names, shapes and figures.
_PARTICULAR = re.compile(r"'[^']*'|\[[^\]]*\]|[-+]?\d[\d.,]*(?:e[-+]?\d+)?x?")
#: Outcomes that leave a question open.
_OPEN = (Outcome.SKIPPED, Outcome.INCONCLUSIVE)


@dataclass(frozen=True)
class Row:
    """One route, before and after. None where it was not in the run. lost: checks that were asked before and were not after."""

    key: Key
    before: Verdict | None
    after: Verdict | None
    lost: tuple[str, ...] = ()

    @property
    def kind(self) -> str:
        """`worse`, `gone`, `open` (no longer known), `better`, `new`, `otherwise` (red for another reason) or `same`."""
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
    """What became of every route. causes: what those that are not as they were have in common, most of them first."""

    rows: tuple[Row, ...]
    environment: tuple[tuple[str, str, str], ...]

    @property
    def changed(self) -> tuple[Row, ...]:
        return tuple(row for row in self.rows if row.kind != "same")

    @property
    def outcome(self) -> Outcome:
        """Passed where nothing that was proven is proven no longer."""
        kinds = {row.kind for row in self.rows}
        if not any(row.before is not None and row.before.passed for row in self.rows) or kinds & {"worse", "gone"}:
            return Outcome.FAILED
        return Outcome.INCONCLUSIVE if "open" in kinds else Outcome.PASSED

    @property
    def causes(self) -> dict[str, tuple[Row, ...]]:
        found: dict[str, tuple[Row, ...]] = {}
        for row in self.rows:
            if row.kind in ("worse", "open", "otherwise") and row.after is not None:
                said = f"no longer asked: {', '.join(row.lost)}" if row.lost else cause(row.after)
                found[said] = (*found.get(said, ()), row)
        return dict(sorted(found.items(), key=lambda item: -len(item[1])))


def compared(before: Report, after: Report) -> Upgrade:
    """Every route of either run, those that are worse first."""
    old, new = before.items, after.items
    rows = [_row(key, old.get(key, ()), new.get(key, ())) for key in dict.fromkeys((*old, *new))]
    order = ("worse", "gone", "open", "otherwise", "better", "new", "same")
    return Upgrade(tuple(sorted(rows, key=lambda row: order.index(row.kind))), tuple(after.otherwise(before)))


def _row(key: Key, before: tuple[Verdict, ...], after: tuple[Verdict, ...]) -> Row:
    missed = tuple(lost(before, after)) if after else ()
    return Row(key, worst(before) if before else None, worst(after) if after else None, missed)


def cause(verdict: Verdict) -> str:
    """Why a route is not green, without what is particular to it: routes with the same one fail together."""
    raised, where = verdict.evidence.get("cause"), verdict.evidence.get("where")
    if isinstance(raised, Mapping) and raised.get("type"):
        operator = f" at {raised['operator']}" if raised.get("operator") else ""
        return f"{verdict.stage}: {raised['type']}{operator}"
    if where:
        return f"{verdict.stage}: {str(where).partition(' in ')[0]} gives another result"
    return f"{verdict.stage}: {_PARTICULAR.sub('..', verdict.reason)}"
