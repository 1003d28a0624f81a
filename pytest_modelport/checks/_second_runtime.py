"""A changed file beside another runtime that computes the same graph: does the one that ships
compute what the file says?
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

from pytest_modelport.backends import registry, requirements
from pytest_modelport.cleanroom.room import RoomEnded
from pytest_modelport.compare.fidelity import Fidelity, fidelity_of
from pytest_modelport.compare.judge import within_steps
from pytest_modelport.core.verdict import Outcome, Stage, Verdict, jsonable
from pytest_modelport.isolation.stops import Stop
from pytest_modelport.workbench.workbench import Workbench

#: Of rows whose largest element must be the same in both runtimes.
_TOP1 = 0.98


def agreement(workbench: Workbench, proven: Verdict) -> Verdict:
    """The verdict on the file as it was exported, and on whether the changed one is computed as it
    says.
    """
    referees = [
        name
        for name in registry.openers(workbench.artifact.manifest.kind)
        if getattr(registry.runtime(name), "REFEREE", False)
    ]
    others = [
        name
        for name in referees
        if name != workbench.runtime and not requirements.missing(registry.runtime(name).REQUIRES)
    ]
    if not others:
        return replace(
            proven,
            reason=f"{proven.reason}, before {_last(workbench)}",
            notes=(*proven.notes, _ALONE),
        )
    try:
        port, other = _answers(workbench, ""), _answers(workbench, others[0])
        fidelity, cost = (
            fidelity_of(_pairs(other, port)),
            fidelity_of(_pairs(_eager(workbench), other)),
        )
    except (RoomEnded, Stop) as end:
        note = (
            f"{others[0]} cannot compute the changed file ({_said(end)}): "
            "only the check quality covers it"
        )
        return replace(
            proven,
            reason=f"{proven.reason}, before {_last(workbench)}",
            notes=(*proven.notes, note),
        )
    return _judged(workbench, proven, others[0], fidelity, within_steps(cost.sqnr_db))


_ALONE = "no second runtime computes such files: only the check quality covers the changed one"


def _last(workbench: Workbench) -> str:
    """What changed the file."""
    texts = (transform.text for transform in workbench.transforms if transform.on_file)
    return next(texts, "it was quantized elsewhere")


def _said(end: RoomEnded | Stop) -> str:
    text = (
        end.reason
        if isinstance(end, Stop)
        else str(getattr(getattr(end.ending, "cause", None), "headline", end.ending))
    )
    return text[:80]


def _judged(
    workbench: Workbench, proven: Verdict, other: str, fidelity: Fidelity, wanted: float
) -> Verdict:
    apart = fidelity.sqnr_db is not None and fidelity.sqnr_db < wanted
    flipped = fidelity.top1 is not None and fidelity.top1 < _TOP1
    exactly = fidelity.sqnr_db is None or fidelity.sqnr_db == math.inf
    extent = "exactly" if exactly else f"to {fidelity.sqnr_db:.0f} dB"
    said = f"{workbench.runtime} and {other} agree {extent}"
    found = {
        "runtime": other,
        "sqnr_db": jsonable(fidelity.sqnr_db),
        "asked_db": round(wanted, 1),
        "top1": fidelity.top1,
    }
    evidence = {**proven.evidence, "second": found}
    if not apart and not flipped and not fidelity.nonfinite:
        return replace(
            proven,
            reason=f"{proven.reason}, before {_last(workbench)}; then {said}",
            evidence=evidence,
        )
    reason = (
        f"{workbench.runtime} does not compute what the file says: {said}, "
        f"{wanted:.0f} dB are required; top-1 {fidelity.top1}"
    )
    return workbench.verdict("parity", Stage.COMPARE, Outcome.FAILED, reason, evidence)


def _answers(workbench: Workbench, runtime: str) -> list[dict[str, Any]]:
    """One runtime's answers to every call. Raises `Stop` and `RoomEnded`."""
    with workbench.session(runtime) as session:
        answers = [
            session.run(workbench.feed(call), call.seed) for call in workbench.reference.calls
        ]
    return [{name: array.numpy() for name, array in answer.outputs} for answer in answers]


def _eager(workbench: Workbench) -> list[dict[str, Any]]:
    return [
        {item.name: item.eager.numpy() for item in step.outputs}
        for step in workbench.reference.steps
    ]


def _pairs(first: list[dict[str, Any]], second: list[dict[str, Any]]) -> list[tuple[str, Any, Any]]:
    """By name; by position where a brought file has names of its own."""
    found = []
    for answer, other in zip(first, second, strict=True):
        same = answer.keys() <= other.keys()
        values = [other[name] for name in answer] if same else list(other.values())
        found += [(*pair, value) for pair, value in zip(answer.items(), values, strict=True)]
    return found
