"""Shapes and values: does the exported model answer as the model does at samples that nobody wrote,
inside what was declared?
"""

from __future__ import annotations

from collections.abc import Iterator

from pytest_modelport.checks._counterexample import counterexample
from pytest_modelport.checks._shape_trial import Trial, try_samples
from pytest_modelport.core.verdict import Outcome, Stage, Verdict
from pytest_modelport.isolation.stops import SubjectFailed
from pytest_modelport.reference.reference import Reference
from pytest_modelport.search.candidates import Candidates, candidates
from pytest_modelport.workbench.workbench import Workbench

#: Asked without being named where dims are declared dynamic; see `engine.pipeline.checks_for`.
DEFAULT = False
WHEN = (
    "runs when named, when `dynamic_shapes=` lets a dim vary (unless `checks=` names others or "
    '`examples=0`), and when `domains=`, `domain="ieee"` or a replay is given'
)


def run(workbench: Workbench) -> Iterator[Verdict]:
    """One verdict, with the failing sample that is nearest to the user's own. Raises `Stop` where
    the route ends earlier.
    """
    try:
        seen = candidates(workbench.workspace, workbench.case, workbench.route.device)
    except SubjectFailed as failure:
        raise failure.end(workbench.case.timeout) from None
    if seen.reference is None:
        refused = f"the model refuses all {seen.refused} samples that were tried"
        reason = (
            refused
            if seen.refused
            else "no sample was tried: examples is 0, or nothing about the inputs may vary"
        )
        yield workbench.verdict("shapes", Stage.RUN, Outcome.INCONCLUSIVE, reason, notes=seen.notes)
        return
    trial = try_samples(workbench, seen.space, seen.asked, seen.reference)
    yield (
        counterexample(workbench, seen, trial, "shapes")
        if trial.wrong
        else _passed(workbench, seen, seen.reference, trial)
    )


def _passed(workbench: Workbench, seen: Candidates, eager: Reference, trial: Trial) -> Verdict:
    ranges = ", ".join(f"{name} {low} to {high}" for name, (low, high) in seen.space.ranges.items())
    samples = min(trial.calls, len(seen.recipes))
    evidence = {
        "samples": samples,
        "refused": seen.refused,
        "branches": seen.branches,
        "dims": ranges,
        "judged": trial.judged,
        "undecided": [str(recipe) for recipe in trial.undecided],
        "unjudged": [str(recipe) for recipe in trial.unjudged],
        "per_second": trial.per_second,
    }
    if not any(item.eager.numpy().size for step in eager.steps for item in step.outputs):
        nothing = "nothing was compared: every output is empty"
        return workbench.verdict("shapes", Stage.COMPARE, Outcome.INCONCLUSIVE, nothing, evidence)
    parts = [
        f"{samples} samples ({ranges})" if ranges else f"{samples} samples",
        f"{seen.refused} more that the model refuses" if seen.refused else "",
        f"{seen.branches} of them take another branch of the model" if seen.branches else "",
        f"{trial.judged} needed the float64 oracle" if trial.judged else "",
    ]
    reason = "; ".join(filter(None, parts))
    if trial.unjudged:
        count = f"{len(trial.unjudged)} of {samples} samples"
        within = f"{workbench.case.search.seconds:g} s (search_seconds)"
        advice = "give it more, or fewer examples"
        reason = f"{count} could not be judged in {within}: {advice}"
    if trial.undecided and trial.judgement:
        count = f"{len(trial.undecided)} of {samples} samples"
        reason = f"{count} are undecided: {trial.judgement.verdict().reason}"
    unasked = len(seen.recipes) - samples + seen.untried
    if unasked:
        within = f"{workbench.case.search.seconds:g} s (search_seconds)"
        advice = "give it more, or fewer examples"
        reason = f"{unasked} of {samples + unasked} samples were not asked in {within}: {advice}"
    undecided = trial.undecided or trial.unjudged or unasked
    outcome = Outcome.INCONCLUSIVE if undecided else Outcome.PASSED
    return workbench.verdict(
        "shapes", Stage.COMPARE, outcome, reason, evidence, (*seen.notes, *trial.notes)
    )
