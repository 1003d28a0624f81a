"""Timed routes as plots: how the calls of a run are distributed, how they compare, and how medians
went over several runs.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pytest_modelport.core.report import Report
from pytest_modelport.core.verdict import Key, Verdict

if TYPE_CHECKING:
    from matplotlib.axes import Axes

#: Inches: of one panel.
_WIDTH, _HEIGHT = 4.2, 3.2
#: Times the slowest call.
_FAR = 3
#: A report and the name of its run.
Named = tuple[str, Report]


def plotted(reports: Sequence[Named], place: Callable[[Verdict], Path]) -> list[Path]:
    """One file for each route that the last report has times of. Returns the files.

    reports: in the order they were made; those before the last one draw the trend. place: of the
    plot of a verdict's route, a name that ends in `.svg` or `.png`. Raises `OSError`.
    """
    made = []
    for key, verdicts in reports[-1][1].items.items():
        if any(map(_runs, verdicts)):
            path = place(verdicts[0])
            path.parent.mkdir(parents=True, exist_ok=True)
            _draw(path, key, verdicts, reports)
            made.append(path)
    return made


def _draw(path: Path, key: Key, verdicts: Sequence[Verdict], reports: Sequence[Named]) -> None:
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    timed = next(verdict for verdict in verdicts if _runs(verdict))
    compared = [
        verdict
        for verdict in verdicts
        if verdict.evidence.get("ratios") and {"margin", "against"} <= verdict.evidence.keys()
    ]
    trend = list(_trend(key, reports))
    panels = 1 + len(compared) + (len(trend) > 1)
    with rc_context({"svg.hashsalt": "modelport", "font.size": 8}):
        figure = Figure(figsize=(_WIDTH * panels, _HEIGHT), layout="constrained")
        figure.suptitle(" ".join(key[1:]))
        axes = iter(figure.subplots(1, panels, squeeze=False)[0])
        _distribution(next(axes), timed)
        for verdict in compared:
            _ratios(next(axes), verdict)
        if len(trend) > 1:
            _over_runs(next(axes), trend)
        figure.savefig(path, metadata={"Date": None} if path.suffix == ".svg" else None)


def _distribution(axes: Axes, verdict: Verdict) -> None:
    """The share of calls that took no longer, and the percentiles with their budgets."""
    runs = sorted(_runs(verdict))
    axes.ecdf(runs)
    percentiles = verdict.evidence.get("percentiles", {})
    known = ((name, row) for name, row in percentiles.items() if "ms" in row)
    for number, (name, row) in enumerate(known):
        colour = f"C{number + 1}"
        axes.axvline(row["ms"], color=colour, linewidth=0.8, label=f"{name} {row['ms']:.3g} ms")
        if row.get("budget") is not None:
            axes.axvline(
                row["budget"],
                color=colour,
                linestyle="--",
                label=f"its budget {row['budget']:g} ms",
            )
    # A budget far away would leave nothing to see of the calls: the legend has it.
    axes.set_xlim(0, min(axes.get_xlim()[1], _FAR * runs[-1]))
    axes.set(
        xlabel="milliseconds",
        ylabel="share of calls",
        title=f"{len(runs)} calls: {verdict.outcome}",
    )
    axes.legend()


def _ratios(axes: Axes, verdict: Verdict) -> None:
    """The share of pairs whose ratio was no larger, beside 1 and the ratio in question."""
    ratios, margin = list(map(float, verdict.evidence["ratios"])), float(verdict.evidence["margin"])
    axes.ecdf(ratios)
    axes.axvline(1, color="grey", linewidth=0.8)
    if verdict.evidence.get("budget") is not None:
        axes.axvline(margin, color="C1", linestyle="--", label=f"the budget {margin:.4g}")
        axes.legend()
    axes.set(xlabel=f"time / {verdict.evidence['against']}", ylabel="share of pairs")
    axes.set_title(f"{len(ratios)} pairs: {verdict.outcome}")


def _over_runs(axes: Axes, trend: Sequence[tuple[str, float]]) -> None:
    names, medians = zip(*trend, strict=True)
    axes.plot(range(len(medians)), medians, marker="o")
    axes.set_xticks(range(len(names)), names, rotation=30, ha="right")
    axes.set_ylim(0, 1.15 * max(medians))
    axes.set(ylabel="median, milliseconds", title="over runs, each on the machine of its day")


def _trend(key: Key, reports: Sequence[Named]) -> Iterator[tuple[str, float]]:
    for name, report in reports:
        items: Mapping[Key, tuple[Verdict, ...]] = report.items
        runs = next(filter(None, map(_runs, items.get(key, ()))), None)
        if runs:
            yield name, statistics.median(runs)


def _runs(verdict: Verdict) -> list[float]:
    """Milliseconds of a verdict's timed calls; none where it has none."""
    runs: Any = verdict.evidence.get("runs_ms")
    return list(map(float, runs)) if isinstance(runs, list) else []
