"""Why a port is wrong: where it leaves the subject, and whether the exporter or the runtime is to
blame.

Evidence for a verdict that stands already. Nothing here changes an outcome.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Sequence

from pytest_modelport.backends import registry
from pytest_modelport.checks._blame import Likeness, Suspect, blame, blame_of_refusal
from pytest_modelport.checks._inner import refused_at, shown
from pytest_modelport.cleanroom.room import RoomEnded
from pytest_modelport.compare.comparison import Comparison
from pytest_modelport.compare.localise import first_wrong
from pytest_modelport.core.feed import Answer
from pytest_modelport.core.tensor_stats import TensorStats, stats_of
from pytest_modelport.core.verdict import Outcome, Stage
from pytest_modelport.isolation.stops import Stop
from pytest_modelport.reference.origins import traced
from pytest_modelport.reference.trace import Operation, Traced
from pytest_modelport.workbench.workbench import Workbench

#: A value counts as found when it agrees this much better than the wrong output does, and at least
#: this well.
_SHARPER, _FINEST, _COARSEST = 8.0, 1e-6, 1e-2
#: How many times the noise of the output a healthy value may be off.
_ROUNDED = 0.25


def diagnose(workbench: Workbench, suspect: Suspect) -> dict[str, str]:
    """`where` and `blame`, as far as they can be told."""
    found = {"blame": blame(workbench, suspect), "where": _where(workbench, suspect)}
    return {key: value for key, value in found.items() if value}


def diagnose_refusal(
    workbench: Workbench, refusal: Stop, step: int, right: Callable[[Answer], bool]
) -> dict[str, str]:
    """`where` and `blame` of a port that gives no answer. right: whether another runtime's answer
    to the call is right.
    """
    if refusal.stage not in (Stage.OPEN, Stage.RUN) or refusal.outcome not in _REFUSALS:
        return {}
    try:
        workbench.feed(workbench.case.calls[step])
    except Stop:  # nobody asked the port: it never promised to take this
        return {}
    found = {
        "blame": blame_of_refusal(workbench, step, right),
        "where": refused_at(workbench, refusal, step),
    }
    return {key: value for key, value in found.items() if value}


#: What is the port's own doing: neither a full disk nor a package that does not import.
_REFUSALS = (Outcome.FAILED, Outcome.CRASHED)


def _where(workbench: Workbench, suspect: Suspect) -> str:
    call = traced(workbench.reference, suspect.step)
    if call is None or suspect.comparison.name not in call.outputs:
        return ""
    if not hasattr(registry.runtime(workbench.runtime), "trace"):
        return _shown(workbench, suspect, call, _WHOLE)
    try:
        values = workbench.traced(suspect.step)
    except (RoomEnded, Stop):
        return ""
    output = call.outputs[suspect.comparison.name]
    wanted = call.operations[output].signatures
    tolerance = _tolerance(suspect.comparison)
    if any(item.agrees(value, tolerance) for item in wanted for value in values):
        optimised = _optimised(workbench, suspect)
        return optimised or _shown(workbench, suspect, call, "") or _TOO_FEW
    place = _left(workbench, suspect, call, values)
    # What an export has merged is in no trace: the place may be any part of it.
    return (place and _shown(workbench, suspect, call, "")) or place


def _shown(workbench: Workbench, suspect: Suspect, call: Traced, whole: str) -> str:
    """From the values of a port that was made to show them. whole: what is said where that one is
    right.
    """
    found = shown(workbench, suspect.step)
    if found is None:
        return ""
    answer, values = found
    if suspect.likeness(answer) is Likeness.RIGHT:
        return whole
    return _left(workbench, suspect, call, values)


def _left(
    workbench: Workbench, suspect: Suspect, call: Traced, values: Sequence[TensorStats]
) -> str:
    """The operation where the port's values leave the subject's, in words."""
    output = call.outputs[suspect.comparison.name]
    feed = workbench.feed(workbench.case.calls[suspect.step])
    given = [stats_of(array.numpy()) for array in feed.inputs.values()]  # a copy of one is no node
    tolerance = _tolerance(suspect.comparison)
    place = first_wrong(call.operations, output, [*values, *given], tolerance)
    return _words(place) if place else ""


#: Said where a port is right that was made to show its inner values.
_WHOLE = (
    "undecided: with its inner values as outputs the exported model is right, so something that is "
    "merged, reordered or reused on the way is wrong"
)
#: Said where the port's values look as they must, the wrong output's among them.
_TOO_FEW = "undecided: too little of the output is wrong to be followed through the model"


def _optimised(workbench: Workbench, suspect: Suspect) -> str:
    """Whether the runtime is right when it computes the file as it stands."""
    plain = getattr(registry.runtime(workbench.runtime), "UNOPTIMISED", None)
    if plain is None or workbench.environment:
        return ""
    call = workbench.case.calls[suspect.step]
    with contextlib.suppress(RoomEnded, Stop):
        with workbench.session(workbench.runtime, plain) as session:
            answer = session.run(workbench.feed(call), call.seed)
        if suspect.likeness(answer) is Likeness.RIGHT:
            options = ", ".join(f"{key}={value}" for key, value in plain.items())
            return f"an optimisation of {workbench.runtime}: with {options} the answer is right"
    return ""


def _tolerance(comparison: Comparison) -> float:
    """Of signatures, whose mean moves by the root of the number of elements less than they do; but
    not below what rounding leaves of them.
    """
    if not comparison.magnitude:
        return _COARSEST
    relative = comparison.error / comparison.magnitude
    noise = comparison.noise / comparison.magnitude
    spread = math.sqrt(max(comparison.count, 1))
    finest = max(_FINEST, _ROUNDED * min(noise, relative))
    return min(max(relative / (_SHARPER * spread), finest), _COARSEST)


def _words(place: Operation) -> str:
    where = f"{place.name} in {place.module}, {place.source}"
    return f"{where}: its inputs agree with the exported model's, its result does not"
