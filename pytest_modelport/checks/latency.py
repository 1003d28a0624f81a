"""Latency: is the port fast enough, and can that be known here?

Asked with `--benchmark`, or where a budget is given. A budget is kept, broken, or not decidable on this machine now; a port
that is wrong is not timed.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from typing import Any

from pytest_modelport import artifact, card, shelf
from pytest_modelport.bench import Bench
from pytest_modelport.budget import ALPHA
from pytest_modelport.cleanroom.room import RoomEnded
from pytest_modelport.contract import is_live
from pytest_modelport.measuring import Runs, Timed, milliseconds, paired, runs, warm_up
from pytest_modelport.release import place
from pytest_modelport.sample import Call
from pytest_modelport.sequential import Side, SignTest, needed
from pytest_modelport.stopped import Stopped, stopped
from pytest_modelport.threads import workers
from pytest_modelport.verdict import Outcome, Stage, Verdict

DEFAULT = False
#: A wrong answer is not worth timing.
ONLY_GREEN = True

#: Seconds for each question, and before it is asked a second time.
_SECONDS, _PAUSE = 10.0, 2.0
#: Runs without a budget: enough for a median, and a plot.
_PLAIN_RUNS = 60
#: How often what happens once is tried.
_TRIES = 5
#: A comparison that nobody has set a limit for: this ratio decides how many pairs it takes, and no more.
_PLAIN_MARGIN = 1.05


def run(bench: Bench) -> Iterator[Verdict]:
    """One verdict for the port's own times, and one for each comparison."""
    if workers() > 1:
        reason = f"not timed beside {workers() - 1} other workers: run it alone, with -n 0"
        yield bench.verdict("latency", Stage.BUDGET, Outcome.INCONCLUSIVE, reason)
        return
    budget = bench.case.budgets.latency
    try:
        with bench.session() as port:
            first = port.prepare(bench.feed(bench.case.calls[0]), bench.case.seed)
            warm = warm_up(port)
            about: dict[str, Any] = {
                "load_ms": round(port.load_seconds * 1e3, 3),
                "first_ms": round(first.wall * 1e3, 3),
                "warm_up": warm,
            }
            about |= {"threads": bench.case.threads, "device": bench.route.device, **_card(bench.route.device)}
            yield _twice(lambda: _absolute(bench, port, about))
            yield from _once(bench, about)
            if budget.batch:
                yield _batches(bench, port, budget.batch)
                _ready(bench, port)
            if budget.speedup is not None or not budget.given:
                yield from _beside_eager(bench, port)
            if budget.regression is not None:
                yield from _since_release(bench, port)
    except RoomEnded as ended:
        raise stopped(Stage.RUN, ended.ending, "timing the port") from None


def _ready(bench: Bench, session: Any) -> None:
    session.prepare(bench.feed(bench.case.calls[0]), bench.case.seed)
    warm_up(session)


def _twice(ask: Callable[[], Verdict]) -> Verdict:
    """Asked again, once, where the machine did not let it be known."""
    verdict = ask()
    if verdict.outcome is not Outcome.INCONCLUSIVE:
        return verdict
    time.sleep(_PAUSE)
    return ask()


def _runs(bench: Bench, port: Timed, count: int) -> Runs:
    device = bench.route.device
    alone = bench.case.threads == 1 and device == "cpu"
    return runs(port, count, _SECONDS, alone=alone, watch=lambda: card.watched(device))


def _card(device: str) -> dict[str, Any]:
    """What the times of a card depend on. Its second cache is warm: each segment's calls follow one that is not timed."""
    if not device.startswith("cuda"):
        return {}
    now = card.card(device)
    return {"card": now if isinstance(now, str) else now.to_dict(), "l2": "warm"}


def _absolute(bench: Bench, port: Timed, about: dict[str, Any]) -> Verdict:
    """The percentiles that have a budget; the median where none has."""
    limits = dict(bench.case.budgets.latency.percentiles) or {0.5: math.inf}
    count = max(_PLAIN_RUNS, *(needed(share, ALPHA) + 5 for share in limits))
    found = _runs(bench, port, count)
    walls = found.walls
    evidence = {**about, "runs": len(walls), "busy": found.busy, "runs_ms": milliseconds(walls), "percentiles": {}}
    words, outcomes = [], []
    for share, limit in limits.items():
        outcome, word, row = _percentile(found, share, limit)
        evidence["percentiles"][f"p{share * 100:g}"] = row
        words.append(word)
        outcomes.append(outcome)
    if found.card is not None:
        evidence["card_ms"] = round(found.card * 1e3, 4)
        words.append(f"{found.card * 1e3:.3g} ms of it on the card")
    if found.busy:
        words.append(f"the machine was busy: {found.busy}")
    worst = max(outcomes, key=lambda outcome: outcome.severity)
    words.append(f"{1 / found.median:.4g} calls a second, first call {about['first_ms']} ms, load {about['load_ms']} ms")
    return bench.verdict("latency", Stage.BUDGET, worst, "; ".join(words), evidence)


def _once(bench: Bench, about: dict[str, Any]) -> Iterator[Verdict]:
    """What happens once in a session's life. Over its budget it is tried again: the fastest of several is the port's own."""
    budget = bench.case.budgets.latency
    for key, word, limit in (("load_ms", "opening", budget.load_ms), ("first_ms", "the first call", budget.first_ms)):
        if limit is None:
            continue
        tried = [about[key]]
        while min(tried) > limit and len(tried) < _TRIES:
            with bench.session() as again:
                first = again.prepare(bench.feed(bench.case.calls[0]), bench.case.seed).wall * 1e3
                tried.append(round(again.load_seconds * 1e3 if key == "load_ms" else first, 3))
        evidence = {"tried_ms": tried, "budget": limit}
        outcome = Outcome.PASSED if min(tried) <= limit else Outcome.FAILED
        said = f"{word} takes {min(tried):.4g} ms, the budget {limit:g}"
        said += f" (the fastest of {len(tried)})" if len(tried) > 1 else ""
        yield bench.verdict("latency", Stage.BUDGET, outcome, said, evidence)


def _batches(bench: Bench, port: Any, sizes: tuple[int, ...]) -> Verdict:
    """Medians at other sizes of the dim `batch`: figures, no budget. Raises `Stopped` where the port takes no such size."""
    from pytest_modelport.recipes import Recipe
    from pytest_modelport.search import space_for

    space, medians = space_for(bench.case), {}
    for size in sizes:
        recipe = Recipe({"batch": size})
        port.prepare(bench.feed(Call(space.build(recipe), bench.case.seed, space.label(recipe))), bench.case.seed)
        warm_up(port)
        medians[size] = _runs(bench, port, _PLAIN_RUNS).median
    words = [f"batch {size}: {median * 1e3:.3g} ms, {size / median:.3g} a second" for size, median in medians.items()]
    evidence = {"batch_ms": {str(size): round(median * 1e3, 4) for size, median in medians.items()}}
    return bench.verdict("latency", Stage.BUDGET, Outcome.PASSED, "; ".join(words), evidence)


def _percentile(found: Runs, share: float, limit: float) -> tuple[Outcome, str, dict[str, Any]]:
    """One percentile beside its budget in milliseconds; infinite where there is none."""
    value, low, high = (number * 1e3 for number in found.bounds(share, ALPHA))
    name, known = f"p{share * 100:g}", math.isfinite(high)
    word = f"{name} is {value:.3g} ms ({low:.3g} to {high:.3g})" if known else f"{name} takes more runs than {len(found.walls)}"
    row = {"ms": round(value, 4), "low": _finite(low), "high": _finite(high), "budget": _finite(limit)}
    if math.isinf(limit):
        return (Outcome.PASSED if known else Outcome.INCONCLUSIVE), word, row
    if high <= limit:
        return Outcome.PASSED, f"{word}, the budget {limit:g}", row
    if low > limit and not found.busy:
        return Outcome.FAILED, f"{word}, over the budget of {limit:g}", row
    return Outcome.INCONCLUSIVE, f"{word}: not known to be within {limit:g}", row


def _finite(value: float) -> float | None:
    return round(value, 4) if math.isfinite(value) else None


def _beside_eager(bench: Bench, port: Timed) -> Iterator[Verdict]:
    """The subject in a fork of the session, with as many threads as the port."""
    with bench.session("eager") as eager:
        _ready(bench, eager)
        yield _twice(lambda: _against_eager(bench, port, eager))


def _against_eager(bench: Bench, port: Timed, eager: Timed) -> Verdict:
    """Fast enough: the port's share of eager's time lies below 1 / budget."""
    wanted = bench.case.budgets.latency.speedup
    test = paired(port, eager, 1 / wanted if wanted else 1 / _PLAIN_MARGIN, ALPHA, _SECONDS, bench.case.seed)
    low, high = test.interval
    word = f"{1 / test.ratio:.3g}x as fast as eager ({1 / high:.3g} to {1 / low if low else math.inf:.3g})"
    evidence = {**_evidence(test, "eager"), "speedup_vs_eager": round(1 / test.ratio, 3), "budget": wanted}
    if wanted is None:
        return bench.verdict("latency", Stage.BUDGET, Outcome.PASSED, word, evidence)
    return _compared(bench, test, word, f"{wanted:g}x", evidence)


def _against_release(bench: Bench, port: Timed, old: Timed) -> Verdict:
    """Not slower than the last release's artifact, called beside it, by more than the budget."""
    wanted = bench.case.budgets.latency.regression or 1.0
    test = paired(port, old, wanted, ALPHA, _SECONDS, bench.case.seed)
    low, high = test.interval
    assert bench.case.budgets.latency.baseline is not None
    where = bench.case.budgets.latency.baseline.environment
    word = f"takes {test.ratio:.3g}x as long as the last release{f' in {where}' if where else ''} ({low:.3g} to {high:.3g})"
    return _compared(
        bench,
        test,
        word,
        f"{wanted:g}x",
        {**_evidence(test, "the last release"), "ratio": round(test.ratio, 4), "budget": wanted},
    )


def _evidence(test: SignTest, against: str) -> dict[str, Any]:
    counts = {"pairs": len(test.logs), "above": test.above.hits, "below": test.below.hits, "margin": round(test.margin, 4)}
    return {**counts, "against": against, "ratios": [round(math.exp(log), 4) for log in test.logs]}


def _compared(bench: Bench, test: SignTest, word: str, limit: str, evidence: dict[str, Any]) -> Verdict:
    if test.decided is Side.BELOW:
        return bench.verdict("latency", Stage.BUDGET, Outcome.PASSED, f"{word}, the budget {limit}", evidence)
    if test.decided is Side.ABOVE:
        return bench.verdict("latency", Stage.BUDGET, Outcome.FAILED, f"{word}: the budget is {limit}", evidence)
    reason = f"{word}: {len(test.logs)} pairs do not tell on which side of {limit}; a quieter machine or a wider budget would"
    return bench.verdict("latency", Stage.BUDGET, Outcome.INCONCLUSIVE, reason, evidence)


def _since_release(bench: Bench, port: Timed) -> Iterator[Verdict]:
    """The last release's artifact of this route, opened as this one is and called beside it. Raises `Stopped`."""
    last = bench.case.budgets.latency.baseline
    if last is None:
        reason = "max_regression not asked: no last release; give --modelport-baseline=DIR (none for the first one)"
        yield bench.verdict("latency", Stage.BUDGET, Outcome.SKIPPED, reason)
        return
    folder = place(last.folder, bench.route)
    if not (folder / artifact.MANIFEST).is_file():
        yield bench.verdict("latency", Stage.BUDGET, Outcome.PASSED, f"new: no last release to be slower than in {folder}")
        return
    try:
        old = artifact.load(folder)
    except artifact.CorruptArtifact as error:
        raise Stopped(Stage.BUDGET, Outcome.ERROR, f"the last release's artifact is not what was released: {error}") from None
    if last.environment and (why := _unusable(bench, last.environment)):
        yield bench.verdict("latency", Stage.BUDGET, Outcome.SKIPPED, why)
        return
    with bench.beside(old, last.environment) as session:
        _ready(bench, session)
        yield _twice(lambda: _against_release(bench, port, session))


def _unusable(bench: Bench, name: str) -> str:
    """Why the last release cannot be opened in an environment of its own; empty when it can."""
    if is_live(shelf.runtime(bench.runtime)):
        return f"max_regression not asked: {bench.runtime} runs in this process, not in environment {name}"
    there = bench.workspace.environment(name)
    return "" if there.packages else f"max_regression not asked: environment {name} is not there: modelport env create {name}"
