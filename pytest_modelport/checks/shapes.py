"""Shapes and values: wherever the subject answers inside what was declared, the port must answer as it does."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from pytest_modelport.bench import Bench
from pytest_modelport.expected import Step
from pytest_modelport.finding import Finding, Given, asked
from pytest_modelport.recipe import Recipe
from pytest_modelport.reference import Reference, SubjectFailed
from pytest_modelport.search import Tried, reference_of, tried
from pytest_modelport.shrink import Shrunk, shrunk
from pytest_modelport.space import Space
from pytest_modelport.stopped import Stopped
from pytest_modelport.triage import evident
from pytest_modelport.verdict import Outcome, Stage, Verdict

#: Asked without being named where dims are declared dynamic; see `pipeline.checks_for`.
DEFAULT = False

#: What does not make a route red: a sample that is right, and one about which the subject's own evaluations disagree.
_SOUND = (Outcome.PASSED, Outcome.INCONCLUSIVE)
#: A port that has died this often need not be asked further.
_LIVES = 3


def run(bench: Bench) -> Iterator[Verdict]:
    """One verdict, with the failing sample that is nearest to the user's own. Raises `Stopped` where the route ends earlier."""
    try:
        seen = tried(bench.workspace, bench.case, bench.route.device)
    except SubjectFailed as failure:
        raise bench.subject_failed(failure) from None
    if seen.reference is None:
        refused = f"the subject refuses all {seen.refused} samples that were tried"
        reason = refused if seen.refused else "no sample was tried: examples is 0, or nothing about the inputs may vary"
        yield bench.verdict("shapes", Stage.RUN, Outcome.INCONCLUSIVE, reason, notes=seen.notes)
        return
    trial = _tried(bench, seen.space, seen.recipes, seen.reference)
    yield _failed(bench, seen, trial) if trial.wrong else _passed(bench, seen, seen.reference, trial)


@dataclass(frozen=True)
class _Trial:
    """What became of some recipes. wrong: those that fail. judged: how many needed the oracle, and what they add up to."""

    wrong: tuple[Recipe, ...] = ()
    undecided: int = 0
    judged: int = 0
    finding: Finding | None = None


def _tried(bench: Bench, space: Space, recipes: Sequence[Recipe], law: Reference) -> _Trial:
    """Ask the port, and judge whatever is not evident. law: what the subject answers to these recipes."""
    given = asked(bench.on(law), law, lives=_LIVES)
    given += [given[-1]] * (len(recipes) - len(given))  # it died too often: the rest is as its last end
    doubtful = [number for number, (step, one) in enumerate(zip(law.steps, given, strict=True)) if _doubtful(step, one)]
    if not doubtful:
        return _Trial()
    if law.changes:
        doubtful = list(range(len(given)))  # what it answers depends on the calls before
    recipes = [recipes[number] for number in doubtful]
    reference = reference_of(bench.workspace, bench.case, space, recipes, bench.route.device)
    finding = Finding(bench.on(reference), reference, check="shapes").take([given[number] for number in doubtful])
    outcomes = finding.outcomes()
    wrong = [recipe for recipe, outcome in zip(recipes, outcomes, strict=True) if outcome not in _SOUND]
    return _Trial(tuple(wrong), outcomes.count(Outcome.INCONCLUSIVE), len(recipes), finding)


def _doubtful(step: Step, given: Given) -> bool:
    return isinstance(given, Stopped) or not evident(step, *given)


def _passed(bench: Bench, seen: Tried, law: Reference, trial: _Trial) -> Verdict:
    dims = ", ".join(f"{name} {low} to {high}" for name, (low, high) in seen.space.ranges.items())
    evidence = {"samples": len(seen.recipes), "refused": seen.refused, "dims": dims, "judged": trial.judged}
    if not any(item.eager.numpy().size for step in law.steps for item in step.outputs):
        nothing = "nothing was compared: every output is empty"
        return bench.verdict("shapes", Stage.COMPARE, Outcome.INCONCLUSIVE, nothing, evidence)
    refused = f", {seen.refused} more that the subject refuses" if seen.refused else ""
    oracle = f"; {trial.judged} needed the oracle" if trial.judged else ""
    oracle += f", {trial.undecided} are undecided" if trial.undecided else ""
    reason = f"{len(seen.recipes)} samples{f' ({dims})' if dims else ''}{refused}{oracle}"
    outcome = Outcome.PASSED if trial.undecided < len(seen.recipes) else Outcome.INCONCLUSIVE
    return bench.verdict("shapes", Stage.COMPARE, outcome, reason, evidence, seen.notes)


def _failed(bench: Bench, seen: Tried, trial: _Trial) -> Verdict:
    """The verdict on the sample nearest to the user's own that still fails."""
    verdicts: dict[str, Verdict] = {}

    def fails(recipe: Recipe) -> bool:
        try:
            law = reference_of(bench.workspace, bench.case, seen.space, [recipe], bench.route.device, law_only=True)
        except SubjectFailed:
            return False
        found = _tried(bench, seen.space, [recipe], law)
        if found.wrong and found.finding:
            verdicts[str(recipe)] = found.finding.verdict()
        return bool(found.wrong)

    share = f"{len(trial.wrong)} of {len(seen.recipes)} samples fail"
    found = shrunk(trial.wrong[0], seen.space.factors, fails)
    if found is None:
        assert trial.finding is not None
        verdict = trial.finding.verdict()
        return replace(verdict, reason=f"fails after other calls on one session, not alone: {verdict.reason}")
    verdict = verdicts[str(found.nearest)]
    evidence = {
        **verdict.evidence,
        "recipe": str(found.nearest),
        "smallest": str(found.smallest),
        "probed": dict(found.probed),
        "share": share,
    }
    condition = _condition(found, seen)
    reason = f"fails when {condition}: {verdict.reason}" if condition else f"fails at the sample itself: {verdict.reason}"
    return replace(verdict, reason=reason, evidence=evidence, notes=(*verdict.notes, *seen.notes))


def _condition(found: Shrunk, seen: Tried) -> str:
    """What must come together, and where it passes."""
    words = []
    for key, option in found.nearest.items():
        name, _, what = key.partition(":")
        if key in seen.space.symbols:
            words.append(f"{name} == {option}{found.passes(key)}")
        elif what:
            words.append(f"{name} {'has' if what == 'special' else 'is'} {option}")
    return " and ".join(words)
