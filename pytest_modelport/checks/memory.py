"""Memory: how much more of it the process of a session takes, at its highest, than before the artifact was opened; on a card,
what torch's allocator holds at its highest.

Asked where a budget is given. Measured in a clean room of its own that has imported the runtime and opened nothing before.
"""

from __future__ import annotations

from collections.abc import Iterator

from pytest_modelport import shelf
from pytest_modelport.bench import Bench
from pytest_modelport.cleanroom.room import RoomEnded
from pytest_modelport.contract import is_live
from pytest_modelport.stopped import stopped
from pytest_modelport.verdict import Outcome, Stage, Verdict

DEFAULT = False
ONLY_GREEN = True
_CALLS = 5


def run(bench: Bench) -> Iterator[Verdict]:
    """One verdict. Raises `Stopped`."""
    limit = bench.case.budgets.memory_mb
    if is_live(shelf.runtime(bench.runtime)):
        reason = "its memory cannot be told from the subject's: they share a process"
        yield bench.verdict("memory", Stage.BUDGET, Outcome.INCONCLUSIVE, reason)
        return
    try:
        before, peak, card = bench.memory(_CALLS)
    except RoomEnded as ended:
        raise stopped(Stage.BUDGET, ended.ending, "measuring the port's memory") from None
    if bench.route.device != "cpu" and card is None:
        reason = f"what it takes of {bench.route.device} is not known: {bench.runtime} does not allocate through torch.cuda"
        yield bench.verdict("memory", Stage.BUDGET, Outcome.INCONCLUSIVE, reason)
        return
    used = (peak - before if card is None else card) / 1e6
    evidence = {"memory_mb": round(used, 3), "before_mb": round(before / 1e6, 3), "budget_mb": limit}
    word = f"{used:.4g} MB more than before it was opened" if card is None else f"{used:.4g} MB of {bench.route.device} at most"
    over = limit is not None and used > limit
    outcome = Outcome.FAILED if over else Outcome.PASSED
    yield bench.verdict("memory", Stage.BUDGET, outcome, f"{word}, the budget is {limit:g}" if over else word, evidence)
