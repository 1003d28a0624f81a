"""Why a port is wrong: where it leaves the subject, and whether the exporter or the runtime is to
blame.

Evidence for a verdict that stands already. Nothing here changes an outcome.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from pytest_modelport.backends import registry, requirements
from pytest_modelport.cleanroom.room import RoomEnded
from pytest_modelport.compare.comparison import Comparison
from pytest_modelport.compare.localise import first_wrong
from pytest_modelport.core.feed import Answer
from pytest_modelport.isolation.stops import Stop
from pytest_modelport.reference.origins import traced
from pytest_modelport.reference.trace import Operation
from pytest_modelport.workbench.workbench import Workbench

#: A value counts as found when it agrees this much better than the wrong output does, and at least
#: this well.
_SHARPER, _FINEST, _COARSEST = 8.0, 1e-6, 1e-2


@dataclass(frozen=True)
class Suspect:
    """The comparison that failed, and the position of its call in the sequence."""

    comparison: Comparison
    step: int


def diagnose(
    workbench: Workbench, suspect: Suspect, agrees: Callable[[Answer], bool]
) -> dict[str, str]:
    """`where` and `blame`, as far as they can be told. agrees: whether another runtime's answer to
    the call is right.
    """
    found = {"blame": _blame(workbench, suspect, agrees), "where": _where(workbench, suspect)}
    return {key: value for key, value in found.items() if value}


def _blame(workbench: Workbench, suspect: Suspect, agrees: Callable[[Answer], bool]) -> str:
    """A third opinion: another runtime on the very same file."""
    for other in _referees(workbench):
        call = workbench.case.calls[suspect.step]
        try:
            with workbench.session(other) as session:
                right = agrees(session.run(workbench.feed(call), call.seed))
        except (RoomEnded, Stop):
            continue
        if other == workbench.runtime:
            if right:
                right_here = (
                    f"{other} gives the right answer from the same file in this installation"
                )
                return f"the environment: {right_here}"
            continue  # wrong in either version: not a third opinion
        if right:
            return f"the runtime: {other} gives the right answer from the same file"
        return f"the export: {other} gives a wrong answer from the same file too"
    return ""


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
        gone = "the error is gone when intermediate values are kept"
        return f"{gone}: an optimisation of {workbench.runtime} makes it"
    place = first_wrong(call.operations, output, values, tolerance)
    return _words(place) if place else ""


def _tolerance(comparison: Comparison) -> float:
    relative = comparison.error / comparison.magnitude if comparison.magnitude else _COARSEST
    return min(max(relative / _SHARPER, _FINEST), _COARSEST)


def _words(place: Operation) -> str:
    where = f"{place.name} in {place.module}, {place.source}"
    return f"{where}: its inputs agree with the exported model's, its result does not"
