"""Size: how many bytes the artifact's files have, and how many numbers they store. Asked where a budget is given."""

from __future__ import annotations

import math
from collections.abc import Iterator

from pytest_modelport import shelf
from pytest_modelport.bench import Bench
from pytest_modelport.cleanroom.room import RoomEnded
from pytest_modelport.stopped import stopped
from pytest_modelport.verdict import Outcome, Stage, Verdict

DEFAULT = False
ONLY_GREEN = True


def run(bench: Bench) -> Iterator[Verdict]:
    """One verdict. Numbers are counted where the format's files can be read back. Raises `Stopped`."""
    budget, megabytes = bench.case.budgets, bench.artifact.size / 1e6
    evidence = {"size_mb": round(megabytes, 4), "budget_mb": budget.size_mb, "budget_parameters": budget.parameters}
    over = [f"{megabytes:.4g} MB of files, the budget is {budget.size_mb:g}"] if _over(megabytes, budget.size_mb) else []
    words = [f"{megabytes:.4g} MB of files"]
    if budget.parameters is not None:
        if shelf.format_(bench.format).constants is None:
            reason = f"{bench.format} stores no numbers of its own: a budget of parameters means nothing here"
            yield bench.verdict("size", Stage.BUDGET, Outcome.INCONCLUSIVE, reason, evidence)
            return
        stored = _stored(bench)
        evidence["parameters"] = stored
        words.append(f"{stored} numbers stored")
        over += [f"{stored} numbers stored, the budget is {budget.parameters:g}"] if _over(stored, budget.parameters) else []
    outcome = Outcome.FAILED if over else Outcome.PASSED
    yield bench.verdict("size", Stage.BUDGET, outcome, "; ".join(over or words), evidence)


def _over(value: float, limit: float | None) -> bool:
    return value > (math.inf if limit is None else limit)


def _stored(bench: Bench) -> int:
    try:
        return sum(math.prod(array.shape) for _, array in bench.constants())
    except RoomEnded as ended:
        raise stopped(Stage.BUDGET, ended.ending, "counting what the artifact stores") from None
