"""A report as one page that needs nothing else: matrix, filters, evidence, what changed since the
last release.
"""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pytest_modelport.core.report import Report
from pytest_modelport.core.verdict import Key, Outcome, Verdict, worst

_TEMPLATE = Path(__file__).with_name("page.html.j2")
#: The scale of the bars: hundredths of what is allowed to a hundred times that.
_DECADES = 4


def render(
    report: Report, changes: Sequence[tuple[str, str]] = (), *, passed: bool | None = None
) -> str:
    """HTML. changes: kind and words of what is otherwise than in the last release. passed: the
    gate's decision.
    """
    from jinja2 import Environment, StrictUndefined

    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    worst_first = sorted(report.items.items(), key=lambda item: -worst(item[1]).outcome.severity)
    rows = [_row(key, verdicts) for key, verdicts in worst_first]
    outcomes = Counter(row["outcome"] for row in rows)
    known = [outcome.value for outcome in Outcome if outcomes[outcome.value]]
    return environment.from_string(_TEMPLATE.read_text(encoding="utf-8")).render(
        passed=report.as_expected if passed is None else passed,
        rows=rows,
        outcomes=[(name, outcomes[name]) for name in known],
        environment=sorted(report.environment.items()),
        changes=list(changes),
        left_out=len(report.deselected),
    )


def _row(key: Key, verdicts: tuple[Verdict, ...]) -> dict[str, Any]:
    suite, subject, route = key
    decisive = worst(verdicts)
    return {
        "suite": suite,
        "subject": subject,
        "route": route,
        "outcome": decisive.outcome.value,
        "reason": f"as its test expects: {decisive.reason}"
        if "xfail" in decisive.evidence
        else decisive.reason,
        "seconds": f"{sum(verdict.seconds for verdict in verdicts):.1f}",
        "share": _share(verdicts),
        "checks": [_check(verdict) for verdict in verdicts],
    }


def _check(verdict: Verdict) -> dict[str, Any]:
    return {
        "name": verdict.check,
        "stage": verdict.stage.value,
        "outcome": verdict.outcome.value,
        "reason": verdict.reason,
        "notes": list(verdict.notes),
        "runs": _runs(verdict),
        "evidence": json.dumps(dict(verdict.evidence), indent=2, sort_keys=True),
    }


def _share(verdicts: tuple[Verdict, ...]) -> dict[str, Any] | None:
    """How much of its allowance the worst output used, and where that lies on a logarithmic bar."""
    found = [share for verdict in verdicts if (share := verdict.used) is not None]
    if not found:
        return None
    share = max(found)
    place = (
        0.0
        if share <= 0
        else min(max((math.log10(share) + _DECADES / 2) / _DECADES, 0.02), 1.0)
        if share < math.inf
        else 1.0
    )
    return {"text": f"{share:.2g}", "percent": round(100 * place), "over": share > 1}


def _runs(verdict: Verdict) -> dict[str, Any] | None:
    """The timed runs of a latency check as points of a plot 300 wide and 40 high, in the order they
    were made.
    """
    runs = verdict.evidence.get("runs_ms")
    if not isinstance(runs, list) or len(runs) < 2:
        return None
    top = max(map(float, runs)) or 1.0
    points = " ".join(
        f"{300 * n / (len(runs) - 1):.1f},{40 - 38 * float(run) / top:.1f}"
        for n, run in enumerate(runs)
    )
    return {"points": points, "top": f"{top:.3g}", "count": len(runs)}
