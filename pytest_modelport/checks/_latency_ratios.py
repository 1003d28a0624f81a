"""The port's time as a ratio: to eager, and to the last release's artifact, called beside it."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

from pytest_modelport.backends import registry
from pytest_modelport.backends.contract import is_live
from pytest_modelport.checks._latency_runs import SECONDS, Timed, paired, ready, twice
from pytest_modelport.checks._latency_sign_test import Side, SignTest
from pytest_modelport.core import artifact
from pytest_modelport.core.verdict import Outcome, Stage, Verdict
from pytest_modelport.isolation.stops import Stop
from pytest_modelport.reports.release import place
from pytest_modelport.request.budgets import ALPHA
from pytest_modelport.workbench.workbench import Workbench

#: A comparison that nobody has set a limit for: this ratio decides how many pairs it takes, and no
#: more.
_PLAIN_MARGIN = 1.05


def beside_eager(workbench: Workbench, port: Timed) -> Iterator[Verdict]:
    """The subject in a fork of the session, with as many threads as the port."""
    with workbench.session("eager") as eager:
        ready(workbench, eager)
        yield twice(lambda: _against_eager(workbench, port, eager))


def _against_eager(workbench: Workbench, port: Timed, eager: Timed) -> Verdict:
    """Fast enough: the port's share of eager's time lies below 1 / budget."""
    wanted = workbench.case.budgets.latency.speedup
    test = paired(
        port,
        eager,
        1 / wanted if wanted else 1 / _PLAIN_MARGIN,
        ALPHA,
        SECONDS,
        workbench.case.seed,
    )
    low, high = test.interval
    most = 1 / low if low else math.inf
    word = f"{1 / test.ratio:.3g}x as fast as eager ({1 / high:.3g} to {most:.3g})"
    evidence = {
        **_evidence(test, "eager"),
        "speedup_vs_eager": round(1 / test.ratio, 3),
        "budget": wanted,
    }
    if wanted is None:
        return workbench.verdict("latency", Stage.BUDGET, Outcome.PASSED, word, evidence)
    return _compared(workbench, test, word, f"{wanted:g}x", evidence)


def _against_release(workbench: Workbench, port: Timed, old: Timed) -> Verdict:
    """Not slower than the last release's artifact, called beside it, by more than the budget."""
    wanted = workbench.case.budgets.latency.regression or 1.0
    test = paired(port, old, wanted, ALPHA, SECONDS, workbench.case.seed)
    low, high = test.interval
    assert workbench.case.budgets.latency.baseline is not None
    environment = workbench.case.budgets.latency.baseline.environment
    release = f"the last release in {environment}" if environment else "the last release"
    word = f"takes {test.ratio:.3g}x as long as {release} ({low:.3g} to {high:.3g})"
    return _compared(
        workbench,
        test,
        word,
        f"{wanted:g}x",
        {**_evidence(test, "the last release"), "ratio": round(test.ratio, 4), "budget": wanted},
    )


def _evidence(test: SignTest, against: str) -> dict[str, Any]:
    counts = {
        "pairs": len(test.logs),
        "above": test.above.hits,
        "below": test.below.hits,
        "margin": round(test.margin, 4),
    }
    return {**counts, "against": against, "ratios": [round(math.exp(log), 4) for log in test.logs]}


def _compared(
    workbench: Workbench, test: SignTest, word: str, limit: str, evidence: dict[str, Any]
) -> Verdict:
    if test.decided is Side.BELOW:
        return workbench.verdict(
            "latency", Stage.BUDGET, Outcome.PASSED, f"{word}, the budget is {limit}", evidence
        )
    if test.decided is Side.ABOVE:
        return workbench.verdict(
            "latency", Stage.BUDGET, Outcome.FAILED, f"{word}: the budget is {limit}", evidence
        )
    reason = (
        f"{word}: undecided against the budget of {limit} after {len(test.logs)} pairs of calls; "
        "use a quieter machine or a wider budget"
    )
    return workbench.verdict("latency", Stage.BUDGET, Outcome.INCONCLUSIVE, reason, evidence)


def since_release(workbench: Workbench, port: Timed) -> Iterator[Verdict]:
    """The last release's artifact of this route, opened as this one is and called beside it. Raises
    `Stop`.
    """
    last = workbench.case.budgets.latency.baseline
    if last is None:
        reason = (
            "max_regression was not measured: no last release; "
            "give --modelport-baseline=DIR (none for the first one)"
        )
        yield workbench.verdict("latency", Stage.BUDGET, Outcome.SKIPPED, reason)
        return
    folder = place(last.folder, workbench.route)
    if not (folder / artifact.MANIFEST).is_file():
        yield workbench.verdict(
            "latency",
            Stage.BUDGET,
            Outcome.PASSED,
            f"new route: the last release has nothing to compare it with in {folder}",
        )
        return
    try:
        old = artifact.load(folder)
    except artifact.CorruptArtifact as error:
        raise Stop(
            Stage.BUDGET,
            Outcome.ERROR,
            f"the last release's artifact is not what was released: {error}",
        ) from None
    if last.environment and (why := _unusable(workbench, last.environment)):
        yield workbench.verdict("latency", Stage.BUDGET, Outcome.SKIPPED, why)
        return
    with workbench.beside(old, last.environment) as session:
        ready(workbench, session)
        yield twice(lambda: _against_release(workbench, port, session))


def _unusable(workbench: Workbench, name: str) -> str:
    """Why the last release cannot be opened in an environment of its own; empty when it can."""
    if is_live(registry.runtime(workbench.runtime)):
        return (
            f"max_regression was not measured: {workbench.runtime} runs in this process, "
            f"not in environment {name}"
        )
    if workbench.workspace.environment(name).packages:
        return ""
    return (
        f"max_regression was not measured: environment {name} is not there: "
        f"modelport env create {name}"
    )
