"""Shapes and values: wherever the subject answers inside what was declared, the port must answer as it does."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from pytest_modelport.asking import Given, asked
from pytest_modelport.bench import Bench
from pytest_modelport.expected import Step
from pytest_modelport.feeding import unkept
from pytest_modelport.finding import Finding
from pytest_modelport.recipes import Recipe
from pytest_modelport.reference import Reference
from pytest_modelport.search import Tried, reference_of, tried
from pytest_modelport.shrink import Shrunk, shrunk
from pytest_modelport.space import Space
from pytest_modelport.stopped import Stopped, SubjectFailed
from pytest_modelport.triage import evident
from pytest_modelport.verdict import Outcome, Stage, Verdict

#: Asked without being named where dims are declared dynamic; see `pipeline.checks_for`.
DEFAULT = False

#: What does not make a route red: a sample that is right; one about which the subject's own evaluations disagree makes it
#: inconclusive, as it would in parity.
_SOUND = (Outcome.PASSED, Outcome.INCONCLUSIVE)
#: Evaluations of the noise that a first look takes, then a second one, and the share of the allowance that must do for each.
_LOOKS = ((1, 0.1), (2, 0.5))
#: So many samples are judged first, then twice as many each time, so that there is a time to stop.
_FIRST = 4
#: A port that has died this often need not be asked further.
_LIVES = 3
_LOG = logging.getLogger("pytest_modelport")


def run(bench: Bench) -> Iterator[Verdict]:
    """One verdict, with the failing sample that is nearest to the user's own. Raises `Stopped` where the route ends earlier."""
    try:
        seen = tried(bench.workspace, bench.case, bench.route.device)
    except SubjectFailed as failure:
        raise failure.end(bench.case.timeout) from None
    if seen.reference is None:
        refused = f"the subject refuses all {seen.refused} samples that were tried"
        reason = refused if seen.refused else "no sample was tried: examples is 0, or nothing about the inputs may vary"
        yield bench.verdict("shapes", Stage.RUN, Outcome.INCONCLUSIVE, reason, notes=seen.notes)
        return
    trial = _tried(bench, seen.space, seen.asked, seen.reference)
    yield _failed(bench, seen, trial) if trial.wrong else _passed(bench, seen, seen.reference, trial)


@dataclass(frozen=True)
class _Trial:
    """What became of some recipes. calls: how many the port was asked, in so many seconds. wrong: those that fail.

    judged: how many needed the oracle, and what they add up to. undecided: about which the subject's own evaluations disagree.
    unjudged: those for which there was no time. notes: where their noise could not be measured.
    """

    calls: int
    seconds: float
    wrong: tuple[Recipe, ...] = ()
    undecided: tuple[Recipe, ...] = ()
    unjudged: tuple[Recipe, ...] = ()
    judged: int = 0
    finding: Finding | None = None
    notes: tuple[str, ...] = ()

    def and_then(self, finding: Finding, recipes: Sequence[Recipe]) -> _Trial:
        """With what became of some more recipes. Keeps the finding that has the first wrong one, else the first undecided."""
        found = list(zip(recipes, finding.outcomes(), strict=True))
        wrong = _each(recipe for recipe, outcome in found if outcome not in _SOUND)
        undecided = _each(recipe for recipe, outcome in found if outcome is Outcome.INCONCLUSIVE)
        better = (wrong and not self.wrong) or (undecided and not (self.wrong or self.undecided))
        return replace(
            self,
            wrong=_each([*self.wrong, *wrong]),
            undecided=_each([*self.undecided, *undecided]),
            finding=finding if better else self.finding,
            notes=(*self.notes, *finding.reference.unmeasured),
        )


def _tried(bench: Bench, space: Space, recipes: Sequence[Recipe], law: Reference) -> _Trial:
    """Ask the port, and judge whatever is not evident. law: what the subject answers to these recipes."""
    started = time.perf_counter()
    given = asked(bench.on(law), law, lives=_LIVES, seconds=bench.case.search.seconds)
    trial = _Trial(len(given), time.perf_counter() - started)
    doubtful = [number for number, (step, one) in enumerate(zip(law.steps, given, strict=False)) if _doubtful(bench, step, one)]
    if not doubtful:
        return trial
    trial = replace(trial, judged=len(_each(recipes[number] for number in doubtful)))

    def judged(numbers: Sequence[int]) -> _Trial:
        some = [recipes[number] for number in numbers]
        reference = reference_of(bench.workspace, bench.case, space, some, bench.route.device)
        finding = Finding(bench.on(reference), reference, check="shapes").take([given[number] for number in numbers])
        return trial.and_then(finding, some)

    if law.changes:  # what it answers depends on the calls before
        return judged(range(len(given)))
    left, size, started = _distinct(recipes, given, doubtful), _FIRST, time.perf_counter()
    while left:
        if time.perf_counter() - started >= bench.case.search.seconds:
            return replace(trial, unjudged=_each(recipes[number] for number in left))
        some, left, size = left[:size], left[size:], 2 * size
        unclear = _unclear(bench, law, given, some)
        trial = judged(unclear) if unclear else trial
        _LOG.info("%s: %d more samples need the noise, %.0f s", bench.route.id, len(left), time.perf_counter() - started)
    return trial


def _unclear(bench: Bench, law: Reference, given: Sequence[Given], doubtful: Sequence[int]) -> list[int]:
    """Those that few evaluations of the noise around eager do not show to be right: a full judgement takes eighteen runs."""
    left = list(doubtful)
    for evaluations, share in _LOOKS:
        if left:
            few = law.around_eager(left, evaluations)
            finding = Finding(bench.on(few), few, check="shapes").take([given[number] for number in left])
            left = [number for number, clear in zip(left, finding.clear(share), strict=True) if not clear]
    return left


def _distinct(recipes: Sequence[Recipe], given: Sequence[Given], numbers: Sequence[int]) -> list[int]:
    """Without calls that repeat a recipe and got the same answer again."""
    first: dict[str, Given] = {}
    kept = []
    for number in numbers:
        one, before = given[number], first.setdefault(str(recipes[number]), given[number])
        if one is before or isinstance(one, Stopped) or isinstance(before, Stopped) or not one[1].same(before[1]):
            kept.append(number)
    return kept


def _each(recipes: Iterable[Recipe]) -> tuple[Recipe, ...]:
    """Without repetitions."""
    return tuple({str(recipe): recipe for recipe in recipes}.values())


def _doubtful(bench: Bench, step: Step, given: Given) -> bool:
    return isinstance(given, Stopped) or not evident(step, *given) or bool(unkept(bench.artifact.manifest, given[1]))


def _passed(bench: Bench, seen: Tried, law: Reference, trial: _Trial) -> Verdict:
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
        "per_second": _rate(trial),
    }
    if not any(item.eager.numpy().size for step in law.steps for item in step.outputs):
        nothing = "nothing was compared: every output is empty"
        return bench.verdict("shapes", Stage.COMPARE, Outcome.INCONCLUSIVE, nothing, evidence)
    parts = [
        f"{samples} samples{f' ({ranges})' if ranges else ''}",
        f"{seen.refused} more that the subject refuses" if seen.refused else "",
        f"{seen.branches} of them take it another way" if seen.branches else "",
        f"{trial.judged} needed the oracle" if trial.judged else "",
    ]
    reason = "; ".join(filter(None, parts))
    if trial.unjudged:
        within = f"{bench.case.search.seconds:g} s (search_seconds)"
        reason = f"{len(trial.unjudged)} of {samples} samples could not be judged in {within}: give it more, or fewer examples"
    if trial.undecided and trial.finding:
        reason = f"{len(trial.undecided)} of {samples} samples are undecided: {trial.finding.verdict().reason}"
    outcome = Outcome.INCONCLUSIVE if trial.undecided or trial.unjudged else Outcome.PASSED
    late = (f"shapes: {samples} of {len(seen.recipes)} samples, then time was over",) if samples < len(seen.recipes) else ()
    return bench.verdict("shapes", Stage.COMPARE, outcome, reason, evidence, (*seen.notes, *late, *trial.notes))


def _rate(trial: _Trial) -> float:
    """Calls of the port in a second, its opening included."""
    return round(trial.calls / max(trial.seconds, 1e-9), 1)


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

    share = f"{len(trial.wrong)} of {min(trial.calls, len(seen.recipes))} samples fail"
    found = shrunk(trial.wrong[0], seen.space.factors, fails, bench.case.search.seconds)
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
        "per_second": _rate(trial),
    }
    condition = _condition(found, seen)
    reason = f"fails when {condition}: {verdict.reason}" if condition else f"fails at the sample itself: {verdict.reason}"
    notes = (*verdict.notes, *seen.notes, *_excused(found, seen.space, trial.wrong))
    return replace(verdict, reason=reason, evidence=evidence, notes=notes)


def _excused(found: Shrunk, space: Space, wrong: Sequence[Recipe]) -> list[str]:
    """How to say that a mask is never filled in the ways that fail."""
    notes = []
    for name, domain in space.domains.items():
        key = f"{name}:kind"
        kinds = [kind for kind in domain.kinds if all(recipe.get(key) != kind for recipe in wrong)]
        if key in found.nearest and domain.family == "mask" and kinds:
            notes.append(f"where {name} is never so: domains={{{name!r}: {kinds}}}")
    return notes


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
