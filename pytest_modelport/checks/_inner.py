"""Where a port leaves the subject, for runtimes that show no inner values and for files that are
refused: the subject is exported again, with its inner values as outputs, or up to some operation.

Each costs an export, so this is done for a failure alone, and not for long.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

from pytest_modelport.checks._structure import in_order
from pytest_modelport.cleanroom.room import RoomEnded
from pytest_modelport.core.arrays import Array
from pytest_modelport.core.feed import Answer
from pytest_modelport.core.tensor_stats import TensorStats, stats_of
from pytest_modelport.core.verdict import Outcome, Stage
from pytest_modelport.isolation.stops import Stop, stop_for
from pytest_modelport.reference.inner_calls import InnerCall, inner_calls
from pytest_modelport.workbench.inner import cut, showing
from pytest_modelport.workbench.workbench import Workbench

if TYPE_CHECKING:
    from pytest_modelport.subject.inner import Key

#: Seconds after which no further cut is tried.
_SECONDS = 30.0


def shown(workbench: Workbench, step: int) -> tuple[Answer, list[TensorStats]] | None:
    """What the port answers to a call when it shows what is computed inside, and that; None where
    it cannot be had.
    """
    if workbench.case.artifact is not None:
        return None
    calls = inner_calls(workbench.reference)
    computed = [call for call in calls if call.computes and call.floats]
    first = workbench.reference.steps[0].outputs
    batch = next((item.eager.shape[0] for item in first if item.eager.shape), 0)
    # Where the first axis is the batch, whatever it is (ncnn), what has none cannot be shown.
    batched = [call for call in computed if call.rows == batch]
    for some in (computed, batched if len(batched) < len(computed) else []):
        with contextlib.suppress(RoomEnded, Stop):
            return _shown(workbench, step, some) if some else None
    return None


def _changed(calls: Sequence[InnerCall]) -> set[Key]:
    return {call.key for call in calls if call.changed}


def _shown(
    workbench: Workbench, step: int, calls: Sequence[InnerCall]
) -> tuple[Answer, list[TensorStats]]:
    """Raises `RoomEnded`, `Stop`."""
    kept = [call.key for call in calls]
    arrays = _asked(showing(workbench, kept, _changed(calls)), step)
    own = [item.name for item in workbench.reference.steps[step].outputs]
    answer = Answer(tuple(zip(own, arrays, strict=False)))
    return answer, [stats_of(array.numpy()) for array in arrays]


def _asked(workbench: Workbench, step: int) -> list[Array]:
    """The arrays of one call after the calls before it. Raises `RoomEnded`, `Stop`."""
    answer = Answer(())
    with workbench.session() as session:
        for call in workbench.case.calls[: step + 1]:
            answer = session.run(workbench.feed(call), call.seed)
    found = in_order(workbench.reference.steps[step], answer, workbench.artifact.manifest)
    if isinstance(found, str):
        raise Stop(Stage.COMPARE, Outcome.FAILED, found)
    return found


def refused_at(workbench: Workbench, refusal: Stop, step: int) -> str:
    """The first operation of the subject up to which its port is refused in the same way, in words;
    empty where it cannot be told.
    """
    if workbench.case.artifact is not None or refusal.outcome is Outcome.TIMEOUT:
        return ""
    calls = inner_calls(workbench.reference)
    started = time.monotonic()
    taken, refused = -1, len(calls) - 1

    def is_refused(last: int) -> bool:
        try:
            part = cut(workbench, calls[last].key, _changed(calls))
        except Stop:  # the model itself does not run so
            return False
        return _refused(part, refusal, step)

    if not calls or not is_refused(refused):
        return ""
    while refused - taken > 1 and time.monotonic() - started < _SECONDS:
        middle = (taken + refused) // 2
        if is_refused(middle):
            refused = middle
        else:
            taken = middle
    return _words(calls, taken, refused)


def _words(calls: list[InnerCall], taken: int, refused: int) -> str:
    if refused == 0:
        return f"{calls[0]}: the first operation, or the input itself, is refused"
    if taken < 0:
        return f"{calls[refused]}, or before it"
    if refused - taken == 1:
        return f"{calls[refused]}: the model up to there is refused, and taken without it"
    return f"between {calls[taken + 1]} and {calls[refused]}"


def _refused(workbench: Workbench, refusal: Stop, step: int) -> bool:
    """Whether the port of a part of the subject ends as the whole one does."""
    try:
        _asked(workbench, step)
    except Stop as stop:
        return _alike(stop, refusal)
    except RoomEnded as ended:
        return _alike(stop_for(Stage.RUN, ended.ending, "a call"), refusal)
    return False


def _alike(one: Stop, other: Stop) -> bool:
    return (one.stage, one.outcome, _type(one)) == (other.stage, other.outcome, _type(other))


def _type(stop: Stop) -> str:
    """The kind of exception, where one ended it."""
    cause = stop.evidence.get("cause", {})
    return str(cause.get("type", ""))
