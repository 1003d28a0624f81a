"""Why a port is wrong: where it leaves the subject, and whether the exporter or the runtime is to blame.

Evidence for a verdict that stands already. Nothing here changes an outcome.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from pytest_modelport import shelf
from pytest_modelport.bench import Bench
from pytest_modelport.cleanroom.room import RoomEnded
from pytest_modelport.compare import Comparison
from pytest_modelport.feed import Answer
from pytest_modelport.localise import Operation, first_wrong
from pytest_modelport.stopped import Stopped

#: A value counts as found when it agrees this much better than the wrong output does, and at least this well.
_SHARPER, _FINEST, _COARSEST = 8.0, 1e-6, 1e-2


@dataclass(frozen=True)
class Suspect:
    """The comparison that failed, and the position of its call in the sequence."""

    comparison: Comparison
    step: int


def diagnose(bench: Bench, suspect: Suspect, agrees: Callable[[Answer], bool]) -> dict[str, str]:
    """`where` and `blame`, as far as they can be told. agrees: whether another runtime's answer to the call is right."""
    found = {"blame": _blame(bench, suspect, agrees), "where": _where(bench, suspect)}
    return {key: value for key, value in found.items() if value}


def _blame(bench: Bench, suspect: Suspect, agrees: Callable[[Answer], bool]) -> str:
    """A third opinion: another runtime on the very same file."""
    for other in _referees(bench):
        call = bench.case.calls[suspect.step]
        try:
            with bench.session(other) as session:
                right = agrees(session.run(bench.feed(call), call.seed))
        except (RoomEnded, Stopped):
            continue
        if other == bench.runtime:
            if right:
                return f"the environment: {other} gives the right answer from the same file in the session's own"
            continue  # wrong in either version: not a third opinion
        if right:
            return f"the runtime: {other} gives the right answer from the same file"
        return f"the export: {other} gives a wrong answer from the same file too"
    return ""


def _referees(bench: Bench) -> list[str]:
    """Runtimes for a third opinion: the same one outside the route's environment, then those whose word counts."""
    others = [
        name for name in shelf.openers(shelf.format_(bench.format).KIND) if getattr(shelf.runtime(name), "REFEREE", False)
    ]
    asked = [bench.runtime, *others] if bench.environment else [name for name in others if name != bench.runtime]
    openers = {name: shelf.runtime(name) for name in dict.fromkeys(asked)}
    device = bench.route.device.partition(":")[0]
    return [name for name, opener in openers.items() if device in opener.DEVICES and not shelf.missing(opener.REQUIRES)]


def _where(bench: Bench, suspect: Suspect) -> str:
    opener = shelf.runtime(bench.runtime)
    if not hasattr(opener, "trace"):
        return ""
    traced = bench.reference.traced(suspect.step)
    if traced is None or suspect.comparison.name not in traced.outputs:
        return ""
    try:
        values = bench.traced(suspect.step)
    except (RoomEnded, Stopped):
        return ""
    output = traced.outputs[suspect.comparison.name]
    wanted = traced.operations[output].signatures
    tolerance = _tolerance(suspect.comparison)
    if any(item.agrees(value, tolerance) for item in wanted for value in values):
        return f"the error is gone when intermediate values are kept: an optimisation of {bench.runtime} makes it"
    place = first_wrong(traced.operations, output, values, tolerance)
    return _words(place) if place else ""


def _tolerance(comparison: Comparison) -> float:
    relative = comparison.error / comparison.magnitude if comparison.magnitude else _COARSEST
    return min(max(relative / _SHARPER, _FINEST), _COARSEST)


def _words(place: Operation) -> str:
    return f"{place.name} in {place.module}, {place.source}: its operands agree with the port's, its result does not"
