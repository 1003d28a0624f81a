"""Memory: how much more memory the process takes, at its highest, than before the artifact was
opened; on a GPU, what torch's allocator holds at its highest.

Measured in a process of its own that has imported the runtime and opened nothing before.
"""

from __future__ import annotations

from collections.abc import Iterator

from pytest_modelport.backends import registry
from pytest_modelport.backends.contract import is_live
from pytest_modelport.cleanroom.room import RoomEnded
from pytest_modelport.core.verdict import Outcome, Stage, Verdict
from pytest_modelport.isolation.stops import stop_for
from pytest_modelport.workbench.workbench import Workbench

DEFAULT = False
WHEN = (
    "runs when named or when `memory=` is given; not after another check that did not pass "
    "(budgets aside)"
)
ONLY_GREEN = True
_CALLS = 5


def run(workbench: Workbench) -> Iterator[Verdict]:
    """One verdict. Raises `Stop`."""
    limit = workbench.case.budgets.memory_mb
    if is_live(registry.runtime(workbench.runtime)):
        reason = "memory cannot be measured: exported model and model share a process"
        yield workbench.verdict("memory", Stage.BUDGET, Outcome.INCONCLUSIVE, reason)
        return
    try:
        before, peak, on_gpu = workbench.memory(_CALLS)
    except RoomEnded as ended:
        doing = "measuring the exported model's memory"
        raise stop_for(Stage.BUDGET, ended.ending, doing) from None
    if workbench.route.device != "cpu" and on_gpu is None:
        reason = (
            f"memory on {workbench.route.device} is unknown: "
            f"{workbench.runtime} does not allocate through torch.cuda"
        )
        yield workbench.verdict("memory", Stage.BUDGET, Outcome.INCONCLUSIVE, reason)
        return
    used = (peak - before if on_gpu is None else on_gpu) / 1e6
    evidence = {
        "memory_mb": round(used, 3),
        "before_mb": round(before / 1e6, 3),
        "budget_mb": limit,
    }
    word = (
        f"{used:.4g} MB more than before it was opened"
        if on_gpu is None
        else f"{used:.4g} MB of {workbench.route.device} at most"
    )
    over = limit is not None and used > limit
    outcome = Outcome.FAILED if over else Outcome.PASSED
    yield workbench.verdict(
        "memory",
        Stage.BUDGET,
        outcome,
        f"{word}, the budget is {limit:g} MB" if over else word,
        evidence,
    )
