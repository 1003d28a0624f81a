"""Shapes and values: wherever the subject answers inside what was declared, the port must answer as it does."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from pytest_modelport.bench import Bench
from pytest_modelport.cleanroom.room import RoomEnded
from pytest_modelport.expected import Step
from pytest_modelport.feed import Answer, Feed
from pytest_modelport.finding import Finding
from pytest_modelport.isolate import Raised
from pytest_modelport.recipe import Recipe
from pytest_modelport.reference import Reference, SubjectFailed
from pytest_modelport.search import Tried, reference_of, tried
from pytest_modelport.shrink import Shrunk, shrunk
from pytest_modelport.stopped import Stopped, stopped
from pytest_modelport.triage import evident
from pytest_modelport.verdict import Outcome, Stage, Verdict

#: Asked without being named where dims are declared dynamic; see `pipeline.checks_for`.
DEFAULT = False

#: What a port gave for one call.
Given = tuple[Feed, Answer] | Stopped

#: What does not make a route red: a sample that is right, and one about which the subject's own evaluations disagree.
_SOUND = (Outcome.PASSED, Outcome.INCONCLUSIVE)
#: A port that has died this often need not be asked further.
_DEATHS = 3


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
    given = _asked(bench.on(seen.reference), seen.reference)
    doubtful = [
        number for number, (step, one) in enumerate(zip(seen.reference.steps, given, strict=True)) if _doubtful(step, one)
    ]
    if not doubtful:
        yield _passed(bench, seen, judged=0, undecided=0)
        return
    if seen.reference.changes:
        doubtful = list(range(len(given)))  # what it answers depends on the calls before
    recipes = [seen.recipes[number] for number in doubtful]
    reference = reference_of(bench.workspace, bench.case, seen.space, recipes, bench.route.device)
    finding = _judged(bench, reference, [given[number] for number in doubtful])
    outcomes = finding.outcomes()
    wrong = [recipe for recipe, outcome in zip(recipes, outcomes, strict=True) if outcome not in _SOUND]
    undecided = sum(outcome is not Outcome.PASSED for outcome in outcomes)
    yield _failed(bench, seen, finding, wrong) if wrong else _passed(bench, seen, judged=len(recipes), undecided=undecided)


def _doubtful(step: Step, given: Given) -> bool:
    return isinstance(given, Stopped) or not evident(step, *given)


def _asked(bench: Bench, reference: Reference) -> list[Given]:
    """The port's answers to every call; it is opened again after it died."""
    given: list[Given] = []
    deaths = 0
    while len(given) < len(reference.steps) and deaths < _DEATHS:
        deaths += 1
        with bench.session() as session:
            for step in reference.steps[len(given) :]:
                try:
                    feed = bench.feed(step.call)
                    given.append((feed, session.run(feed, step.call.seed)))
                except Stopped as end:
                    given.append(end)
                except RoomEnded as ended:
                    given.append(stopped(Stage.RUN, ended.ending, f"running the port on {step.call.label}"))
                    if not isinstance(ended.ending, Raised):
                        break
    last = given[-1]
    return given + [last] * (len(reference.steps) - len(given))


def _judged(bench: Bench, reference: Reference, given: list[Given]) -> Finding:
    finding = Finding(bench.on(reference), reference, check="shapes")
    for position, (step, one) in enumerate(zip(reference.steps, given, strict=True)):
        if isinstance(one, Stopped):
            finding.refuse(step, one)
        else:
            finding.receive(position, *one)
    return finding


def _passed(bench: Bench, seen: Tried, *, judged: int, undecided: int) -> Verdict:
    dims = ", ".join(f"{name} {low} to {high}" for name, (low, high) in seen.space.ranges.items())
    steps = seen.reference.steps if seen.reference else ()
    evidence = {"samples": len(seen.recipes), "refused": seen.refused, "dims": dims, "judged": judged}
    refused = f", {seen.refused} more that the subject refuses" if seen.refused else ""
    oracle = f"; {judged} needed the oracle" if judged else ""
    oracle += f", {undecided} are undecided" if undecided else ""
    reason = f"{len(seen.recipes)} samples{f' ({dims})' if dims else ''}{refused}{oracle}"
    if not any(item.eager.numpy().size for step in steps for item in step.outputs):
        return bench.verdict(
            "shapes", Stage.COMPARE, Outcome.INCONCLUSIVE, "nothing was compared: every output is empty", evidence
        )
    outcome = Outcome.PASSED if undecided < len(seen.recipes) else Outcome.INCONCLUSIVE
    return bench.verdict("shapes", Stage.COMPARE, outcome, reason, evidence, seen.notes)


def _failed(bench: Bench, seen: Tried, finding: Finding, wrong: list[Recipe]) -> Verdict:
    """The verdict on the sample nearest to the user's own that still fails."""
    findings: dict[str, Finding] = {}

    def fails(recipe: Recipe) -> bool:
        try:
            reference = reference_of(bench.workspace, bench.case, seen.space, [recipe], bench.route.device)
        except SubjectFailed:
            return False
        one = findings[str(recipe)] = _judged(bench, reference, _asked(bench.on(reference), reference))
        return one.outcomes()[0] not in _SOUND

    found = shrunk(wrong[0], seen.space.factors, fails)
    share = f"{len(wrong)} of {len(seen.recipes)} samples fail"
    if found is None:
        verdict = finding.verdict()
        return replace(verdict, reason=f"fails after other calls on one session, not alone: {verdict.reason}")
    verdict = findings[str(found.nearest)].verdict()
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
