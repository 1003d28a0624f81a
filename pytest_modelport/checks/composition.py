"""Composition: does a merged model answer what its members, run one by one, make together?"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from pytest_modelport.compare.fidelity import fidelity_of
from pytest_modelport.core.verdict import Outcome, Stage, Verdict, jsonable
from pytest_modelport.isolation import jobs
from pytest_modelport.isolation.stops import evidence_of
from pytest_modelport.workbench.workbench import Workbench

DEFAULT = True
WHEN = (
    "runs on a `Chain`, `Ensemble` or `Stack` of `pytest_modelport.merge`, unless `checks=` names "
    "others"
)
#: Members run in their own precision and are put together in float64: what is left is the rounding
#: of the last operations.
_LEAST_DB = 100.0


def run(workbench: Workbench) -> Iterator[Verdict]:
    """One verdict for a `merge.Merged` model, none for others. Raises `Stop`."""
    from pytest_modelport.merge import Merged

    module = workbench.case.module
    if not isinstance(module, Merged):
        return
    log = workbench.workspace.fresh("members") / "members.log"
    ending = jobs.run(
        lambda: _members(workbench), timeout=workbench.case.timeout, log=log, restore=module
    )
    if not isinstance(ending, jobs.Done):
        said = ending.cause.headline if isinstance(ending, jobs.Raised) else type(ending).__name__
        reason = f"the members cannot be run one by one: {said}"
        yield workbench.verdict(
            "composition", Stage.RUN, Outcome.ERROR, reason, evidence_of(ending)
        )
        return
    yield _verdict(workbench, [np.asarray(rows) for rows in ending.value])


def _members(workbench: Workbench) -> list[Any]:
    """What the members make of every call."""
    import torch

    from pytest_modelport.core.tensors import fresh, seed_all

    found = []
    module: Any = workbench.case.module
    with torch.no_grad():
        for call in workbench.case.calls:
            sample = fresh(call.sample, workbench.route.device)
            seed_all(call.seed)
            found.append(module.composed(*sample.args, **sample.kwargs).tolist())
    return found


def _verdict(workbench: Workbench, composed: list[Any]) -> Verdict:
    steps = workbench.reference.steps
    for step, value in zip(steps, composed, strict=True):
        shapes = [item.eager.shape for item in step.outputs]
        if shapes != [value.shape]:
            reason = (
                f"the merged model answers {shapes} at {step.call.label}, "
                f"its members make {value.shape}"
            )
            return workbench.verdict("composition", Stage.COMPARE, Outcome.FAILED, reason)
    fidelity = fidelity_of(
        ("output", value, step.outputs[0].eager.numpy())
        for step, value in zip(steps, composed, strict=True)
    )
    evidence = {"sqnr_db": jsonable(fidelity.sqnr_db), "nonfinite": fidelity.nonfinite}
    apart = fidelity.nonfinite or fidelity.sqnr_db is None or fidelity.sqnr_db < _LEAST_DB
    members: int = len(workbench.case.module.members)  # type: ignore[arg-type]
    said = f"the merged model and its {members} members agree to {fidelity.sqnr_db:.0f} dB"
    outcome = Outcome.FAILED if apart else Outcome.PASSED
    return workbench.verdict(
        "composition",
        Stage.COMPARE,
        outcome,
        f"{said}, at least {_LEAST_DB:.0f} dB are required" if apart else said,
        evidence,
    )
