"""Why a port is wrong: where it leaves the subject, and whether the exporter or the runtime is to
blame.

Evidence for a verdict that stands already. Nothing here changes an outcome.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum, auto
from typing import TYPE_CHECKING, Any

import numpy as np

from pytest_modelport.backends import registry, requirements
from pytest_modelport.cleanroom.room import RoomEnded
from pytest_modelport.compare.comparison import Comparison
from pytest_modelport.compare.localise import first_wrong
from pytest_modelport.core.arrays import Array
from pytest_modelport.core.feed import Answer
from pytest_modelport.core.tensor_stats import stats_of
from pytest_modelport.isolation.stops import Stop
from pytest_modelport.reference.origins import traced
from pytest_modelport.reference.trace import Operation
from pytest_modelport.workbench.workbench import Workbench

if TYPE_CHECKING:
    import numpy.typing as npt

#: A value counts as found when it agrees this much better than the wrong output does, and at least
#: this well.
_SHARPER, _FINEST, _COARSEST = 8.0, 1e-6, 1e-2
#: How many times the noise of the output a healthy value may be off.
_ROUNDED = 0.25
#: Two wrong answers are the same where they differ by less than this share of what is wrong.
_ALIKE = 0.1


class Likeness(Enum):
    """How another answer to the call stands to the port's: right; as wrong, by the same numbers;
    wrong in another way.
    """

    RIGHT = auto()
    SAME = auto()
    OTHER = auto()


@dataclass(frozen=True)
class Suspect:
    """The comparison that failed, and the position of its call in the sequence. likeness: of
    another runtime's answer to the call.
    """

    comparison: Comparison
    step: int
    likeness: Callable[[Answer], Likeness]


def diagnose(workbench: Workbench, suspect: Suspect) -> dict[str, str]:
    """`where` and `blame`, as far as they can be told."""
    found = {"blame": _blame(workbench, suspect), "where": _where(workbench, suspect)}
    return {key: value for key, value in found.items() if value}


def same_numbers(port: Array, other: Array, truth: npt.NDArray[Any]) -> bool:
    """Whether two answers are wrong by the same numbers: nearer to each other than to the truth by
    far.
    """
    if (port.dtype, port.shape) != (other.dtype, other.shape):
        return False
    one, two = port.numpy(), other.numpy()
    if one.dtype.kind not in "fc":
        return bool((one == two).all())
    finite = np.isfinite(one)
    if not np.array_equal(finite, np.isfinite(two)) or not np.array_equal(
        one[~finite], two[~finite], equal_nan=True
    ):
        return False
    known = finite & np.isfinite(truth)
    apart = np.abs(one[known] - two[known]).max(initial=0.0)
    return bool(apart <= _ALIKE * np.abs(one[known] - truth[known]).max(initial=0.0))


def _blame(workbench: Workbench, suspect: Suspect) -> str:
    """Other runtimes on the very same file. A right answer proves that the file is right; a wrong
    one that it is not, where both are wrong by the same numbers.
    """
    found: dict[str, Likeness] = {}
    for other in _referees(workbench):
        call = workbench.case.calls[suspect.step]
        try:
            with workbench.session(other) as session:
                found[other] = suspect.likeness(session.run(workbench.feed(call), call.seed))
        except (RoomEnded, Stop):
            continue
        if found[other] is Likeness.RIGHT:
            return _right(other, found, here=other == workbench.runtime)
    found.pop(workbench.runtime, None)  # wrong in either version: not a third opinion
    same = [name for name, likeness in found.items() if likeness is Likeness.SAME]
    if same:
        return f"the export: {same[0]} gives the same wrong answer from the same file"
    if found:
        return f"undecided: another wrong answer from the same file by {' and '.join(found)}"
    return ""


def _right(other: str, found: Mapping[str, Likeness], *, here: bool) -> str:
    if here:
        said = f"{other} gives the right answer from the same file in this installation"
        return f"the environment: {said}"
    wrong = [name for name in found if name != other]
    also = f", {' and '.join(wrong)} a wrong one too" if wrong else ""
    return f"the runtime: {other} gives the right answer from the same file{also}"


def _referees(workbench: Workbench) -> list[str]:
    """Runtimes for a third opinion: the same one outside the route's environment, then those whose
    word counts.
    """
    others = [
        name
        for name in registry.openers(registry.format_(workbench.format).KIND)
        if getattr(registry.runtime(name), "REFEREE", False)
    ]
    asked = (
        [workbench.runtime, *others]
        if workbench.environment
        else [name for name in others if name != workbench.runtime]
    )
    openers = {name: registry.runtime(name) for name in dict.fromkeys(asked)}
    device = workbench.route.device.partition(":")[0]
    return [
        name
        for name, opener in openers.items()
        if device in opener.DEVICES and not requirements.missing(opener.REQUIRES)
    ]


def _where(workbench: Workbench, suspect: Suspect) -> str:
    opener = registry.runtime(workbench.runtime)
    if not hasattr(opener, "trace"):
        return ""
    call = traced(workbench.reference, suspect.step)
    if call is None or suspect.comparison.name not in call.outputs:
        return ""
    try:
        values = workbench.traced(suspect.step)
    except (RoomEnded, Stop):
        return ""
    output = call.outputs[suspect.comparison.name]
    wanted = call.operations[output].signatures
    tolerance = _tolerance(suspect.comparison)
    if any(item.agrees(value, tolerance) for item in wanted for value in values):
        return _optimised(workbench, suspect) or _TOO_FEW
    feed = workbench.feed(workbench.case.calls[suspect.step])
    given = [stats_of(array.numpy()) for array in feed.inputs.values()]  # a copy of one is no node
    place = first_wrong(call.operations, output, [*values, *given], tolerance)
    return _words(place) if place else ""


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
