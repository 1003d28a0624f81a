"""Whose fault a wrong answer is: what other runtimes say of the same file, and of the file that it
was made from.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from enum import Enum, auto
from typing import TYPE_CHECKING, Any

import numpy as np

from pytest_modelport.backends import registry, requirements
from pytest_modelport.cleanroom.room import RoomEnded
from pytest_modelport.compare.comparison import Comparison
from pytest_modelport.core.arrays import Array
from pytest_modelport.core.feed import Answer
from pytest_modelport.isolation.stops import Stop
from pytest_modelport.workbench.workbench import Workbench

if TYPE_CHECKING:
    import numpy.typing as npt

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
    another runtime's answer to the call. given: the port's and the model's own values of this
    output, by the position of the call.
    """

    comparison: Comparison
    step: int
    likeness: Callable[[Answer], Likeness]
    given: Mapping[int, tuple[Array, Array]]


def blame_of_refusal(workbench: Workbench, step: int, right: Callable[[Answer], bool]) -> str:
    """Other runtimes on the file: one that is right clears it. That others refuse it, too, may have
    other reasons.
    """
    refusing, wrong = [], []
    call = workbench.case.calls[step]
    feed = workbench.feed(call)
    for other in _referees(workbench):
        try:
            with workbench.session(other) as session:
                answer = session.run(feed, call.seed)
        except (RoomEnded, Stop):
            refusing.append(other)
            continue
        if right(answer):
            return _right(other, {}, here=other == workbench.runtime)
        wrong.append(other)
    said = [
        *(f"{name} refuses it, too" for name in refusing),
        *(f"{name} gives a wrong answer from it" for name in wrong),
    ]
    return f"undecided: of the same file, {' and '.join(said)}" if said else ""


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


def blame(workbench: Workbench, suspect: Suspect) -> str:
    """Other runtimes on the very same file. A right answer proves that the file is right; a wrong
    one that it is not, where both are wrong by the same numbers.
    """
    if said := _model(workbench, suspect):
        return said
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
    return _blame_before(workbench, suspect)


def _model(workbench: Workbench, suspect: Suspect) -> str:
    """Of a model that answers one sample in several ways, by what it keeps or draws outside of its
    tensors, and a port that answers it in one.
    """
    calls = workbench.case.calls
    for one, other in itertools.combinations(suspect.given, 2):
        (port, eager), (port_again, eager_again) = suspect.given[one], suspect.given[other]
        if calls[one].sample is not calls[other].sample or eager.same(eager_again):
            continue
        if port.same(port_again):
            both = f"{calls[one].label} and {calls[other].label}"
            kept = ", ".join(workbench.reference.changes[:3])
            changed = f" ({kept} changed in between)" if kept else ""
            answers = f"it answers {both}, one sample, in two ways{changed}"
            return f"the model: {answers}, the exported model in one"
    return ""


def _blame_before(workbench: Workbench, suspect: Suspect) -> str:
    """Of a file that is made from another format's: whether that one is right."""
    source = getattr(registry.format_(workbench.format), "VIA", "")
    if not source or workbench.case.artifact is not None:
        return ""
    if workbench.options.get("exporter") == "legacy":
        source += "_legacy"
    before = replace(workbench, route=replace(workbench.route, target=source))
    call = workbench.case.calls[suspect.step]
    try:
        with before.session() as session:
            likeness = suspect.likeness(session.run(before.feed(call), call.seed))
    except (RoomEnded, Stop):
        return ""
    made = f"the {source} file that it is made from"
    if likeness is Likeness.RIGHT:
        return f"the conversion or the runtime: {made} gives the right answer"
    if likeness is Likeness.SAME:
        return f"the export: {made} gives the same wrong answer"
    return f"undecided: {made} gives another wrong answer"


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
