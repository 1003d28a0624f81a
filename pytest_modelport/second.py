"""A changed file beside another runtime that computes the same graph: does the one that ships compute what the file says?"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

from pytest_modelport import shelf
from pytest_modelport.bench import Bench
from pytest_modelport.cleanroom.room import RoomEnded
from pytest_modelport.price import Price, price_of
from pytest_modelport.stopped import Stopped
from pytest_modelport.tolerance import within_steps
from pytest_modelport.verdict import Outcome, Stage, Verdict, jsonable

#: Of rows whose largest element must be the same in both runtimes.
_TOP1 = 0.98


def fidelity(bench: Bench, proven: Verdict) -> Verdict:
    """The verdict on the file as it was exported, and on whether the changed one is computed as it says."""
    referees = [name for name in shelf.openers(bench.artifact.manifest.kind) if getattr(shelf.runtime(name), "REFEREE", False)]
    others = [name for name in referees if name != bench.runtime and not shelf.missing(shelf.runtime(name).REQUIRES)]
    if not others:
        return replace(proven, reason=f"{proven.reason}, before {_last(bench)}", notes=(*proven.notes, _ALONE))
    try:
        port, other = _answers(bench, ""), _answers(bench, others[0])
        price, cost = price_of(_pairs(other, port)), price_of(_pairs(_law(bench), other))
    except (RoomEnded, Stopped) as end:
        note = f"{others[0]} cannot compute the changed file ({_said(end)}): the check quality alone speaks for it"
        return replace(proven, reason=f"{proven.reason}, before {_last(bench)}", notes=(*proven.notes, note))
    return _judged(bench, proven, others[0], price, within_steps(cost.sqnr_db))


_ALONE = "no second runtime computes such files: the check quality alone speaks for the changed one"


def _last(bench: Bench) -> str:
    return next(move.text for move in bench.moves if move.on_file)


def _said(end: RoomEnded | Stopped) -> str:
    text = end.reason if isinstance(end, Stopped) else str(getattr(getattr(end.ending, "cause", None), "headline", end.ending))
    return text[:80]


def _judged(bench: Bench, proven: Verdict, other: str, price: Price, wanted: float) -> Verdict:
    apart = price.sqnr_db is not None and price.sqnr_db < wanted
    flipped = price.top1 is not None and price.top1 < _TOP1
    exactly = price.sqnr_db is None or price.sqnr_db == math.inf
    said = f"{bench.runtime} and {other} agree {'exactly' if exactly else f'to {price.sqnr_db:.0f} dB'}"
    found = {"runtime": other, "sqnr_db": jsonable(price.sqnr_db), "asked_db": round(wanted, 1), "top1": price.top1}
    evidence = {**proven.evidence, "second": found}
    if not apart and not flipped and not price.nonfinite:
        return replace(proven, reason=f"{proven.reason}, before {_last(bench)}; then {said}", evidence=evidence)
    reason = f"{bench.runtime} does not compute what the file says: {said}, {wanted:.0f} dB are asked; top-1 {price.top1}"
    return bench.verdict("parity", Stage.COMPARE, Outcome.FAILED, reason, evidence)


def _answers(bench: Bench, runtime: str) -> list[dict[str, Any]]:
    """One runtime's answers to every call. Raises `Stopped` and `RoomEnded`."""
    with bench.session(runtime) as session:
        answers = [session.run(bench.feed(call), call.seed) for call in bench.reference.calls]
    return [{name: array.numpy() for name, array in answer.outputs} for answer in answers]


def _law(bench: Bench) -> list[dict[str, Any]]:
    return [{item.name: item.eager.numpy() for item in step.outputs} for step in bench.reference.steps]


def _pairs(first: list[dict[str, Any]], second: list[dict[str, Any]]) -> list[tuple[str, Any, Any]]:
    return [
        (name, value, second_answer[name])
        for answer, second_answer in zip(first, second, strict=True)
        for name, value in answer.items()
    ]
