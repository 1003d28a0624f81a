"""Composition: does a merged model answer what its members, run one by one, make together?"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from pytest_modelport import isolate
from pytest_modelport.bench import Bench
from pytest_modelport.price import price_of
from pytest_modelport.stopped import evidence_of
from pytest_modelport.verdict import Outcome, Stage, Verdict, jsonable

DEFAULT = True
#: Members run in their own precision and are put together in float64: what is left is the rounding of the last operations.
_LEAST_DB = 100.0


def run(bench: Bench) -> Iterator[Verdict]:
    """One verdict for a `merge.Merged` model, none for others. Raises `Stopped`."""
    from pytest_modelport.merge import Merged

    module = bench.case.module
    if not isinstance(module, Merged):
        return
    log = bench.workspace.fresh("members") / "members.log"
    ending = isolate.run(lambda: _members(bench), timeout=bench.case.timeout, log=log, restore=module)
    if not isinstance(ending, isolate.Done):
        said = ending.cause.headline if isinstance(ending, isolate.Raised) else type(ending).__name__
        reason = f"the members cannot be run one by one: {said}"
        yield bench.verdict("composition", Stage.RUN, Outcome.ERROR, reason, evidence_of(ending))
        return
    yield _verdict(bench, [np.asarray(rows) for rows in ending.value])


def _members(bench: Bench) -> list[Any]:
    """What the members make of every call."""
    import torch

    from pytest_modelport.tensors import fresh, seed_all

    found = []
    module: Any = bench.case.module
    with torch.no_grad():
        for call in bench.case.calls:
            sample = fresh(call.sample, bench.route.device)
            seed_all(call.seed)
            found.append(module.composed(*sample.args, **sample.kwargs).tolist())
    return found


def _verdict(bench: Bench, composed: list[Any]) -> Verdict:
    steps = bench.reference.steps
    for step, value in zip(steps, composed, strict=True):
        shapes = [item.eager.shape for item in step.outputs]
        if shapes != [value.shape]:
            reason = f"the merged model answers {shapes} at {step.call.label}, its members make {value.shape}"
            return bench.verdict("composition", Stage.COMPARE, Outcome.FAILED, reason)
    price = price_of(("output", value, step.outputs[0].eager.numpy()) for step, value in zip(steps, composed, strict=True))
    evidence = {"sqnr_db": jsonable(price.sqnr_db), "nonfinite": price.nonfinite}
    apart = price.nonfinite or price.sqnr_db is None or price.sqnr_db < _LEAST_DB
    said = f"the merged model and its {len(bench.case.module.members)} members agree to {price.sqnr_db:.0f} dB"  # type: ignore[arg-type]
    outcome = Outcome.FAILED if apart else Outcome.PASSED
    return bench.verdict(
        "composition", Stage.COMPARE, outcome, f"{said}, at least {_LEAST_DB:.0f} are asked" if apart else said, evidence
    )
