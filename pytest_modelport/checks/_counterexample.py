"""A sample at which a port is wrong, made as small and as near to the user's own as it can be."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

from pytest_modelport.checks._shape_trial import Trial, try_samples
from pytest_modelport.core.artifact import TRACED
from pytest_modelport.core.verdict import Verdict
from pytest_modelport.isolation.stops import SubjectFailed
from pytest_modelport.request.recipes import Recipe
from pytest_modelport.search.candidates import Candidates, reference_of
from pytest_modelport.search.shrink import Shrunk, shrunk
from pytest_modelport.search.space import Space
from pytest_modelport.workbench.workbench import Workbench


def counterexample(workbench: Workbench, seen: Candidates, trial: Trial, check: str) -> Verdict:
    """The verdict on the sample nearest to the user's own that still fails, of those that do."""
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
        found = try_samples(workbench, seen.space, [recipe], eager, check)
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
        **({"per_second": trial.per_second} if trial.seconds else {}),
    }
    condition = _condition(found, seen)
    frozen = _frozen(found, seen.space, workbench.artifact.manifest.frozen)
    reason = (
        f"{frozen}fails when {condition}: {verdict.reason}"
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


def _frozen(found: Shrunk, space: Space, traced: Sequence[str]) -> str:
    """Which dim the port takes in no other size than the sample's, and the line at which a tracer
    took a number of the sample's for a constant; empty where there is none.
    """
    for key, sizes in found.probed.items():
        if key in space.symbols and sizes["fails"] and sizes["passes"] == [space.factors[key][0]]:
            line = re.match(rf"{TRACED}.*?([^/\\]+:\d+): ", traced[0]) if traced else None
            place = f" by {line[1]}" if line else ""
            return f"{key} is frozen at {space.factors[key][0]}{place}: "
    return ""


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
