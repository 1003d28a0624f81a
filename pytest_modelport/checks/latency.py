"""Latency: is the exported model fast enough, and can that be known on this machine?

A budget is kept, broken, or cannot be decided on this machine now. An exported model that is wrong
is not timed.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

from pytest_modelport.checks import _latency_gpu
from pytest_modelport.checks._latency_ratios import beside_eager, since_release
from pytest_modelport.checks._latency_runs import (
    SECONDS,
    Runs,
    Timed,
    milliseconds,
    ready,
    runs,
    twice,
    warm_up,
)
from pytest_modelport.cleanroom.room import RoomEnded
from pytest_modelport.core.sample import Call
from pytest_modelport.core.verdict import Outcome, Stage, Verdict
from pytest_modelport.isolation.stops import stop_for
from pytest_modelport.isolation.threads import xdist_workers
from pytest_modelport.request.budgets import ALPHA, needed
from pytest_modelport.workbench.workbench import Workbench

DEFAULT = False
WHEN = (
    "runs when named, when `latency=` is given, or with `--benchmark`; not after another check "
    "that did not pass (budgets aside), nor with pytest-benchmark's `--benchmark-skip` or "
    "`--benchmark-disable`"
)
#: A wrong answer is not worth timing.
ONLY_GREEN = True
#: Runs without a budget: enough for a median, and a plot.
_PLAIN_RUNS = 60
#: How often what happens once is tried.
_TRIES = 5


def run(workbench: Workbench) -> Iterator[Verdict]:
    """One verdict for the port's own times, and one for each comparison."""
    if xdist_workers() > 1:
        reason = f"not timed: {xdist_workers() - 1} other workers run meanwhile; run it with -n 0"
        yield workbench.verdict("latency", Stage.BUDGET, Outcome.INCONCLUSIVE, reason)
        return
    budget = workbench.case.budgets.latency
    try:
        with workbench.session() as port:
            first = port.prepare(workbench.feed(workbench.case.calls[0]), workbench.case.seed)
            warm = warm_up(port)
            about: dict[str, Any] = {
                "load_ms": round(port.load_seconds * 1e3, 3),
                "first_ms": round(first.wall * 1e3, 3),
                "warm_up": warm,
            }
            about |= {
                "threads": workbench.case.threads,
                "device": workbench.route.device,
                **_gpu(workbench.route.device),
            }
            yield twice(lambda: _absolute(workbench, port, about))
            yield from _once(workbench, about)
            if budget.batch:
                yield _batches(workbench, port, budget.batch)
                ready(workbench, port)
            if budget.speedup is not None or not budget.given:
                yield from beside_eager(workbench, port)
            if budget.regression is not None:
                yield from since_release(workbench, port)
    except RoomEnded as ended:
        raise stop_for(Stage.RUN, ended.ending, "timing the exported model") from None


def _runs(workbench: Workbench, port: Timed, count: int) -> Runs:
    device = workbench.route.device
    alone = workbench.case.threads == 1 and device == "cpu"
    return runs(port, count, SECONDS, alone=alone, watch=lambda: _latency_gpu.watched(device))


def _gpu(device: str) -> dict[str, Any]:
    """What the times of a GPU depend on. Its second cache is warm: each segment's calls follow one
    that is not timed.
    """
    if not device.startswith("cuda"):
        return {}
    now = _latency_gpu.gpu_state(device)
    return {"card": now if isinstance(now, str) else now.to_dict(), "l2": "warm"}


def _absolute(workbench: Workbench, port: Timed, about: dict[str, Any]) -> Verdict:
    """The percentiles that have a budget; the median where none has."""
    limits = dict(workbench.case.budgets.latency.percentiles) or {0.5: math.inf}
    count = max(_PLAIN_RUNS, *(needed(share, ALPHA) + 5 for share in limits))
    found = _runs(workbench, port, count)
    walls = found.walls
    evidence = {
        **about,
        "runs": len(walls),
        "busy": found.busy,
        "runs_ms": milliseconds(walls),
        "percentiles": {},
    }
    words, outcomes = [], []
    for share, limit in limits.items():
        outcome, word, row = _percentile(found, share, limit)
        evidence["percentiles"][f"p{share * 100:g}"] = row
        words.append(word)
        outcomes.append(outcome)
    if found.gpu is not None:
        evidence["card_ms"] = round(found.gpu * 1e3, 4)
        words.append(f"{found.gpu * 1e3:.3g} ms of it on the GPU")
    if found.busy:
        words.append(f"the machine was busy: {found.busy}")
    worst = max(outcomes, key=lambda outcome: outcome.severity)
    words.append(
        f"{1 / found.median:.4g} calls a second, "
        f"first call {about['first_ms']} ms, load {about['load_ms']} ms"
    )
    return workbench.verdict("latency", Stage.BUDGET, worst, "; ".join(words), evidence)


def _once(workbench: Workbench, about: dict[str, Any]) -> Iterator[Verdict]:
    """What happens once in a session's life. Over its budget it is tried again: the fastest of
    several is the port's own.
    """
    budget = workbench.case.budgets.latency
    for key, word, limit in (
        ("load_ms", "opening", budget.load_ms),
        ("first_ms", "the first call", budget.first_ms),
    ):
        if limit is None:
            continue
        tried = [about[key]]
        while min(tried) > limit and len(tried) < _TRIES:
            with workbench.session() as again:
                first = (
                    again.prepare(workbench.feed(workbench.case.calls[0]), workbench.case.seed).wall
                    * 1e3
                )
                tried.append(round(again.load_seconds * 1e3 if key == "load_ms" else first, 3))
        evidence = {"tried_ms": tried, "budget": limit}
        outcome = Outcome.PASSED if min(tried) <= limit else Outcome.FAILED
        said = f"{word} takes {min(tried):.4g} ms, the budget is {limit:g} ms"
        said += f" (the fastest of {len(tried)})" if len(tried) > 1 else ""
        yield workbench.verdict("latency", Stage.BUDGET, outcome, said, evidence)


def _batches(workbench: Workbench, port: Any, sizes: tuple[int, ...]) -> Verdict:
    """Medians at other sizes of the dim `batch`: figures, no budget. Raises `Stop` where the port
    takes no such size.
    """
    from pytest_modelport.request.recipes import Recipe
    from pytest_modelport.search.candidates import space_for

    space, medians = space_for(workbench.case), {}
    for size in sizes:
        recipe = Recipe({"batch": size})
        port.prepare(
            workbench.feed(Call(space.build(recipe), workbench.case.seed, space.label(recipe))),
            workbench.case.seed,
        )
        warm_up(port)
        medians[size] = _runs(workbench, port, _PLAIN_RUNS).median
    words = [
        f"batch {size}: {median * 1e3:.3g} ms, {size / median:.3g} a second"
        for size, median in medians.items()
    ]
    evidence = {"batch_ms": {str(size): round(median * 1e3, 4) for size, median in medians.items()}}
    return workbench.verdict("latency", Stage.BUDGET, Outcome.PASSED, "; ".join(words), evidence)


def _percentile(found: Runs, share: float, limit: float) -> tuple[Outcome, str, dict[str, Any]]:
    """One percentile beside its budget in milliseconds; infinite where there is none."""
    value, low, high = (number * 1e3 for number in found.bounds(share, ALPHA))
    name, known = f"p{share * 100:g}", math.isfinite(high)
    word = (
        f"{name} is {value:.3g} ms ({low:.3g} to {high:.3g})"
        if known
        else f"{name} is unknown after {len(found.walls)} runs"
    )
    row = {
        "ms": round(value, 4),
        "low": _finite(low),
        "high": _finite(high),
        "budget": _finite(limit),
    }
    if math.isinf(limit):
        return (Outcome.PASSED if known else Outcome.INCONCLUSIVE), word, row
    if high <= limit:
        return Outcome.PASSED, f"{word}, the budget is {limit:g} ms", row
    if low > limit and not found.busy:
        return Outcome.FAILED, f"{word}, over the budget of {limit:g} ms", row
    return Outcome.INCONCLUSIVE, f"{word}: undecided against the budget of {limit:g} ms", row


def _finite(value: float) -> float | None:
    return round(value, 4) if math.isfinite(value) else None
