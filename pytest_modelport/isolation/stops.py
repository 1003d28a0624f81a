"""A stage that ended its route, and what the ways a process can end mean for it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from pytest_modelport.core.errors import BrokenItem, CannotJudge, Rejected
from pytest_modelport.core.verdict import Outcome, Stage
from pytest_modelport.isolation.jobs import Crashed, Ending, Raised, TimedOut


@dataclass
class Stop(Exception):
    """A stage ended the route: what its verdict will say."""

    stage: Stage
    outcome: Outcome
    reason: str
    evidence: Mapping[str, Any] = field(default_factory=dict)


class SubjectFailed(Exception):
    """The subject itself did not run to the end."""

    def __init__(self, ending: Ending, call: str) -> None:
        super().__init__(call)
        self.ending = ending
        self.call = call

    def end(self, seconds: float) -> Stop:
        """The end of a route whose subject cannot be judged."""
        ending = self.ending
        if isinstance(ending, Raised):
            said = ending.cause.headline
            rejected = ending.cause.type == Rejected.__name__
            text = (
                f"the model itself rejects {self.call}: {said}"
                if rejected
                else f"the model cannot be judged: {said}"
            )
        elif isinstance(ending, Crashed):
            text = f"the model itself crashes ({ending.signal}) in eager"
        else:
            text = f"the model itself takes more than {seconds:g} s in eager"
        return Stop(Stage.RUN, Outcome.ERROR, text, evidence_of(ending))


def stop_for(stage: Stage, ending: Ending, doing: str) -> Stop:
    """What it means that the port did not come back from something: it refused, died or hung."""
    evidence = evidence_of(ending)
    if isinstance(ending, Raised):
        if ending.cause.storage:
            return Stop(stage, Outcome.ERROR, f"{doing}: {ending.cause.headline}", evidence)
        if ending.cause.type == BrokenItem.__name__:
            return Stop(stage, Outcome.ERROR, ending.cause.message, evidence)
        if ending.cause.type == CannotJudge.__name__:
            return Stop(stage, Outcome.INCONCLUSIVE, ending.cause.message, evidence)
        said = ending.cause.headline
        more = f": {ending.told}" if ending.told and ending.told not in said else ""
        return Stop(stage, Outcome.FAILED, f"{doing} fails: {said}{more}", evidence)
    if isinstance(ending, Crashed):
        more = f": {ending.told}" if ending.told else ""
        return Stop(stage, Outcome.CRASHED, f"{ending.signal} in {doing}{more}", evidence)
    if isinstance(ending, TimedOut):
        return Stop(
            stage, Outcome.TIMEOUT, f"more than {ending.seconds:g} s in {doing}: killed", evidence
        )
    raise TypeError(f"{doing} ended with {ending}")


def evidence_of(ending: Ending) -> dict[str, Any]:
    """How a job ended, as evidence. A traceback stays in the log."""
    if isinstance(ending, Raised):
        return {
            "cause": {
                key: value
                for key, value in ending.cause.to_dict().items()
                if key != "text" and value
            }
        }
    if isinstance(ending, Crashed):
        return {"signal": ending.signal, "tail": ending.tail}
    return {"seconds": ending.seconds, "tail": ending.tail} if isinstance(ending, TimedOut) else {}
