"""Other values than the user's: a port that stores its sample's answers, or reads them off once, is
right at that sample only.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from pytest_modelport.checks._answers import PortAnswer
from pytest_modelport.checks._counterexample import counterexample
from pytest_modelport.checks._shape_trial import Noises, Trial, judged
from pytest_modelport.core.verdict import Outcome, Verdict
from pytest_modelport.isolation.stops import SubjectFailed
from pytest_modelport.reference.expected import ExpectedCall
from pytest_modelport.reference.reference import Reference
from pytest_modelport.request.recipes import Recipe
from pytest_modelport.search.candidates import Candidates, reference_of
from pytest_modelport.search.domain import FAR
from pytest_modelport.search.variations import variations
from pytest_modelport.workbench.workbench import Workbench

if TYPE_CHECKING:
    from pytest_modelport.cleanroom.workspace import Workspace
    from pytest_modelport.request.case import Case

#: Evaluations of the noise around the subject's answers, made once for all routes, and the share of
#: the allowance that must do for them.
_LOOKS = ((3, 0.5),)


#: What makes samples of a case, for a device.
Make = Callable[["Workspace", "Case", str], Candidates]


@dataclass(frozen=True)
class OtherValues:
    """Samples with other values, and what the subject answers to them."""

    seen: Candidates
    reference: Reference


def other_values(workbench: Workbench, make: Make = variations) -> OtherValues | str:
    """The samples to ask a port about beside the user's own, or why there are none."""
    case = workbench.case
    if not case.search.examples:
        return "examples=0"
    try:
        found = make(workbench.workspace, case, workbench.route.device)
    except SubjectFailed as failure:
        return f"the model fails at them: {failure.end(case.timeout).reason}"
    if found.reference is None:
        refused = f"the model refuses all {found.refused} that were tried"
        return refused if found.refused else "nothing about its inputs can vary"
    numbers = _usable(workbench, found, found.reference)
    if not numbers:
        return "none that the model and its transforms are made for"
    asked = tuple(found.asked[number] for number in numbers)
    return OtherValues(replace(found, recipes=asked, asked=asked), found.reference.only(numbers))


def _usable(workbench: Workbench, found: Candidates, reference: Reference) -> list[int]:
    """Which samples say something: not those where the model itself overflows and does not at the
    user's, nor, behind a transform, those that it was not calibrated for.
    """
    numbers = range(len(found.asked))
    if reference.changes:
        return list(numbers)  # each answer depends on those before
    rounded = bool(workbench.transforms or workbench.quantized)
    finite = all(map(_finite, workbench.reference.steps))
    return [
        number
        for number in numbers
        if not (rounded and _far(found.asked[number]))
        and (_finite(reference.steps[number]) or not finite)
    ]


def _finite(step: ExpectedCall) -> bool:
    floats = (item.eager.numpy() for item in step.outputs if not item.exact)
    return all(bool(np.isfinite(values).all()) for values in floats)


def _far(recipe: Recipe) -> bool:
    """Whether values lie far from the sample's: rounded numbers may not reach there."""
    return any(key.endswith(":kind") and kind in FAR for key, kind in recipe.items())


def unvaried(workbench: Workbench, why: str, verdict: Verdict) -> Verdict:
    """The verdict on the user's samples where no others were asked: worth less, and nothing where
    a tracer says that it froze one of their values.
    """
    caution = f"no other values than the sample's were tried: {why}"
    cautions = [*verdict.cautions, caution]
    found = replace(
        verdict,
        evidence={**verdict.evidence, "cautions": cautions},
        notes=(*verdict.notes, caution),
    )
    frozen = workbench.artifact.manifest.frozen
    if not frozen:
        return found
    reason = f"{caution}, and the tracer froze some of them ({frozen[0]})"
    return replace(found, outcome=Outcome.INCONCLUSIVE, reason=reason)


def judged_at(
    workbench: Workbench, others: OtherValues, answers: Sequence[PortAnswer], verdict: Verdict
) -> Verdict:
    """The verdict on the user's samples, with what the port answers at others."""
    seen = others.seen
    noises = _noises(workbench, others)
    trial = judged(workbench, seen.asked, others.reference, answers, noises, "parity")
    if trial.wrong:
        return counterexample(workbench, seen, trial, "parity")
    decided = len(answers) - len(trial.undecided) - len(trial.unjudged)
    figures = {
        "samples": decided,
        "refused": seen.refused,
        "undecided": [str(recipe) for recipe in trial.undecided],
        "unjudged": [str(recipe) for recipe in trial.unjudged],
    }
    evidence = {**verdict.evidence, "other_values": figures}
    if decided:
        reason = f"{verdict.reason}, {decided} with other values"
        left = len(trial.undecided) + len(trial.unjudged)
        undecided = (f"{left} more with other values could not be decided",) if left else ()
        notes = (*verdict.notes, *trial.notes, *undecided)
        return replace(verdict, reason=reason, evidence=evidence, notes=notes)
    return replace(
        verdict, outcome=Outcome.INCONCLUSIVE, reason=_nothing(workbench, trial), evidence=evidence
    )


def _nothing(workbench: Workbench, trial: Trial) -> str:
    """Why no other value says anything."""
    if trial.undecided and trial.judgement:
        count = len(trial.undecided)
        return f"at {count} samples with other values: {trial.judgement.verdict().reason}"
    seconds = f"{workbench.case.search.seconds:g} s (search_seconds)"
    return f"no sample with other values was asked and judged in {seconds}"


def _noises(workbench: Workbench, others: OtherValues) -> Noises:
    """Made once for all routes of the subject."""
    case, device, workspace = workbench.case, workbench.route.device, workbench.workspace
    seen, eager = others.seen, others.reference

    def around(numbers: Sequence[int], evaluations: int) -> Reference:
        key = ("noise at other values", case.key, device, repr(case.search), evaluations)
        made = workspace.once(key, lambda: eager.around_eager(range(len(eager.steps)), evaluations))
        return made.only(numbers)

    def full(numbers: Sequence[int]) -> Reference:
        some = [seen.asked[number] for number in numbers]
        key = ("reference at other values", case.key, device, repr(case.search), str(some))
        return workspace.once(key, lambda: reference_of(workspace, case, seen.space, some, device))

    return Noises(around, full, _LOOKS)
