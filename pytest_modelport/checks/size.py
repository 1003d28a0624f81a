"""Size: how many bytes do the artifact's files have, and how many numbers do they store?"""

from __future__ import annotations

import math
from collections.abc import Iterator

from pytest_modelport.backends import registry
from pytest_modelport.cleanroom.room import RoomEnded
from pytest_modelport.core.verdict import Outcome, Stage, Verdict
from pytest_modelport.isolation.stops import stop_for
from pytest_modelport.workbench.workbench import Workbench

DEFAULT = False
WHEN = (
    "runs when named or when `size=` is given; not after another check that did not pass (budgets "
    "aside)"
)
ONLY_GREEN = True


def run(workbench: Workbench) -> Iterator[Verdict]:
    """One verdict. Numbers are counted where the format's files can be read back. Raises `Stop`."""
    budget, megabytes = workbench.case.budgets, workbench.artifact.size / 1e6
    evidence = {
        "size_mb": round(megabytes, 4),
        "budget_mb": budget.size_mb,
        "budget_parameters": budget.parameters,
    }
    over = (
        [f"{megabytes:.4g} MB of files, the budget is {budget.size_mb:g} MB"]
        if _over(megabytes, budget.size_mb)
        else []
    )
    words = [f"{megabytes:.4g} MB of files"]
    if budget.parameters is not None:
        if registry.format_(workbench.format).constants is None:
            reason = f"parameters cannot be counted: those in {workbench.format} cannot be read"
            yield workbench.verdict("size", Stage.BUDGET, Outcome.INCONCLUSIVE, reason, evidence)
            return
        stored = _stored(workbench)
        evidence["parameters"] = stored
        words.append(f"{stored} numbers stored")
        over += (
            [f"{stored} numbers stored, the budget is {budget.parameters:g}"]
            if _over(stored, budget.parameters)
            else []
        )
    outcome = Outcome.FAILED if over else Outcome.PASSED
    yield workbench.verdict("size", Stage.BUDGET, outcome, "; ".join(over or words), evidence)


def _over(value: float, limit: float | None) -> bool:
    return value > (math.inf if limit is None else limit)


def _stored(workbench: Workbench) -> int:
    try:
        return sum(math.prod(array.shape) for _, array in workbench.constants())
    except RoomEnded as ended:
        raise stop_for(Stage.BUDGET, ended.ending, "counting what the artifact stores") from None
