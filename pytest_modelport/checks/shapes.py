"""Shapes and values: does the exported model answer as the model does at samples that nobody wrote,
inside what was declared?
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from pytest_modelport.checks._shape_trial import Trial, try_samples
from pytest_modelport.core.verdict import Outcome, Stage, Verdict
from pytest_modelport.isolation.stops import SubjectFailed
from pytest_modelport.reference.reference import Reference
from pytest_modelport.request.recipes import Recipe
from pytest_modelport.search.candidates import Candidates, candidates, reference_of
from pytest_modelport.search.shrink import Shrunk, shrunk
from pytest_modelport.search.space import Space
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
        _failed(workbench, seen, trial)
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
    outcome = Outcome.INCONCLUSIVE if trial.undecided or trial.unjudged else Outcome.PASSED
    late = (
        (f"shapes: {samples} of {len(seen.recipes)} samples, then search_seconds were over",)
        if samples < len(seen.recipes)
        else ()
    )
    return workbench.verdict(
        "shapes", Stage.COMPARE, outcome, reason, evidence, (*seen.notes, *late, *trial.notes)
    )


def _failed(workbench: Workbench, seen: Candidates, trial: Trial) -> Verdict:
    """The verdict on the sample nearest to the user's own that still fails."""
    verdicts: dict[str, Verdict] = {}

    def fails(recipe: Recipe) -> bool:
        try:
            eager = reference_of(
                workbench.workspace,
                workbench.case,
                seen.space,
                [recipe],
                workbench.route.device,
                eager_only=True,
            )
        except SubjectFailed:
            return False
        found = try_samples(workbench, seen.space, [recipe], eager)
        if found.wrong and found.judgement:
            verdicts[str(recipe)] = found.judgement.verdict()
        return bool(found.wrong)

    share = f"{len(trial.wrong)} of {min(trial.calls, len(seen.recipes))} samples fail"
    found = shrunk(trial.wrong[0], seen.space.factors, fails, workbench.case.search.seconds)
    if found is None:
        assert trial.judgement is not None
        verdict = trial.judgement.verdict()
        return replace(
            verdict, reason=f"fails only after other calls on the same session: {verdict.reason}"
        )
    verdict = verdicts[str(found.nearest)]
    evidence = {
        **verdict.evidence,
        "recipe": str(found.nearest),
        "smallest": str(found.smallest),
        "probed": dict(found.probed),
        "share": share,
        "per_second": trial.per_second,
    }
    condition = _condition(found, seen)
    reason = (
        f"fails when {condition}: {verdict.reason}"
        if condition
        else f"fails at the sample itself: {verdict.reason}"
    )
    notes = (*verdict.notes, *seen.notes, *_excused(found, seen.space, trial.wrong))
    return replace(verdict, reason=reason, evidence=evidence, notes=notes)


def _excused(found: Shrunk, space: Space, wrong: Sequence[Recipe]) -> list[str]:
    """How to say that a mask is never filled in the ways that fail."""
    notes = []
    for name, domain in space.domains.items():
        key = f"{name}:kind"
        kinds = [kind for kind in domain.kinds if all(recipe.get(key) != kind for recipe in wrong)]
        if key in found.nearest and domain.family == "mask" and kinds:
            notes.append(f"if {name} is never so, say domains={{{name!r}: {kinds}}}")
    return notes


def _condition(found: Shrunk, seen: Candidates) -> str:
    """What must come together, and where it passes."""
    words = []
    for key, option in found.nearest.items():
        name, _, what = key.partition(":")
        if key in seen.space.symbols:
            words.append(f"{name} == {option}{found.passes(key)}")
        elif what:
            words.append(f"{name} {'has' if what == 'special' else 'is'} {option}")
    return " and ".join(words)
