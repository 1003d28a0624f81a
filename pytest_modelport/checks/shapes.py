"""Shapes and values: wherever the subject answers inside what was declared, the port must answer as it does."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from pytest_modelport.bench import Bench
from pytest_modelport.cleanroom.room import RoomEnded
from pytest_modelport.finding import Finding
from pytest_modelport.isolate import Raised
from pytest_modelport.recipe import Recipe
from pytest_modelport.reference import SubjectFailed
from pytest_modelport.search import Tried, reference_of, tried
from pytest_modelport.shrink import Shrunk, shrunk
from pytest_modelport.stopped import Stopped, stopped
from pytest_modelport.verdict import Outcome, Stage, Verdict

#: Asked without being named where dims are declared dynamic; see `pipeline.checks_for`.
DEFAULT = False

_FAILING = (Outcome.FAILED, Outcome.CRASHED, Outcome.TIMEOUT)
#: A port that has died this often need not be asked further.
_DEATHS = 3


def run(bench: Bench) -> Iterator[Verdict]:
    """One verdict, with the failing sample that is nearest to the user's own. Raises `Stopped` where the route ends earlier."""
    try:
        seen = tried(bench.workspace, bench.case, bench.route.device)
    except SubjectFailed as failure:
        raise bench.subject_failed(failure) from None
    if seen.reference is None:
        reason = f"the subject refuses all {seen.refused} samples that were tried"
        yield bench.verdict("shapes", Stage.RUN, Outcome.INCONCLUSIVE, reason, notes=seen.notes)
        return
    finding = _asked(Finding(bench.on(seen.reference), seen.reference, check="shapes"))
    wrong = [recipe for recipe, outcome in zip(seen.recipes, finding.outcomes(), strict=True) if outcome in _FAILING]
    yield _failed(bench, seen, finding, wrong) if wrong else _passed(bench, seen, finding)


def _asked(finding: Finding) -> Finding:
    """The port's answers to every call; it is opened again after it died."""
    left = list(enumerate(finding.reference.steps))
    for _ in range(_DEATHS):
        with finding.bench.session() as session:
            while left:
                position, step = left.pop(0)
                try:
                    feed = finding.bench.feed(step.call)
                    answer = session.run(feed, step.call.seed)
                except Stopped as end:
                    finding.refuse(step, end)
                except RoomEnded as ended:
                    finding.refuse(step, stopped(Stage.RUN, ended.ending, f"running the port on {step.call.label}"))
                    if not isinstance(ended.ending, Raised):
                        break
                else:
                    finding.receive(position, feed, answer)
        if not left:
            break
    return finding


def _passed(bench: Bench, seen: Tried, finding: Finding) -> Verdict:
    verdict = finding.verdict()
    dims = ", ".join(f"{name} {low} to {high}" for name, (low, high) in seen.space.ranges.items())
    evidence = {"samples": len(seen.recipes), "refused": seen.refused, "dims": dims, "needs": verdict.evidence.get("needs")}
    undecided = sum(outcome is not Outcome.PASSED for outcome in finding.outcomes())
    notes = (*seen.notes, *([f"shapes: {undecided} of {len(seen.recipes)} samples are undecided"] if undecided else []))
    refused = f", {seen.refused} more that the subject refuses" if seen.refused else ""
    reason = f"{len(seen.recipes)} samples{f' ({dims})' if dims else ''}{refused}; {verdict.reason.partition(';')[0]}"
    outcome = Outcome.PASSED if undecided < len(seen.recipes) else Outcome.INCONCLUSIVE
    return bench.verdict("shapes", Stage.COMPARE, outcome, reason, evidence, notes)


def _failed(bench: Bench, seen: Tried, finding: Finding, wrong: list[Recipe]) -> Verdict:
    """The verdict on the sample nearest to the user's own that still fails."""
    findings: dict[str, Finding] = {}

    def fails(recipe: Recipe) -> bool:
        try:
            reference = reference_of(bench.workspace, bench.case, seen.space, [recipe], bench.route.device)
        except SubjectFailed:
            return False
        one = findings[str(recipe)] = _asked(Finding(bench.on(reference), reference, check="shapes"))
        return one.outcomes()[0] in _FAILING

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
