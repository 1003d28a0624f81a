"""Parity: does the exported model answer as the model does?"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from pytest_modelport.checks._answers import PortAnswer, answers_of
from pytest_modelport.checks._diagnosis import diagnose_refusal
from pytest_modelport.checks._judgement import Judgement
from pytest_modelport.checks._other_values import judged_at, other_values, unvaried
from pytest_modelport.checks._second_runtime import agreement
from pytest_modelport.core.feed import Answer
from pytest_modelport.core.verdict import Outcome, Stage, Verdict
from pytest_modelport.isolation.stops import Stop
from pytest_modelport.reference.reference import Reference
from pytest_modelport.workbench.workbench import Workbench

DEFAULT = True
WHEN = "runs always, unless `checks=` names others"


def run(workbench: Workbench) -> Iterator[Verdict]:
    """One verdict: the worst of all outputs of all calls, the user's and a few of the same shapes
    with other values. Raises `Stop` where the route ends earlier.

    A file that was changed after its export is proven in parts: the file as it was exported against
    the subject; then the changed one, which no model answers as, in its structure, and against
    another runtime that computes the same graph.
    """
    before = workbench.exported
    found = _proven(before)
    if found.passed and workbench.reshaped and before is workbench:
        found = agreement(workbench, found)
    elif found.passed and workbench.reshaped:
        structure = _proven(workbench)
        found = agreement(workbench, found) if structure.passed else structure
        found = replace(
            found, evidence={**found.evidence, **workbench.place}
        )  # what ships is the changed file
    elif found.passed and workbench.route != before.route:
        found = _proven(workbench)
    yield replace(found, route=workbench.route)


def _proven(workbench: Workbench) -> Verdict:
    """The verdict, and of a port that gives no answer why that is. Raises `Stop`."""
    try:
        found = _asked(workbench)
    except Stop as stop:
        if stop.stage is not Stage.OPEN or workbench.progress.artifact is None:
            raise
        evidence = {**_explained(workbench, stop, 0), **stop.evidence}
        raise replace(stop, evidence=evidence) from None
    if found.stage is not Stage.RUN:
        return found
    said = found.evidence.get("calls", {})
    labels = [call.label for call in workbench.reference.calls]
    step = next((n for n, label in enumerate(labels) if said.get(label) == found.outcome), None)
    if step is None:
        return found
    refusal = Stop(found.stage, found.outcome, found.reason, found.evidence)
    return replace(found, evidence={**_explained(workbench, refusal, step), **found.evidence})


def _explained(workbench: Workbench, refusal: Stop, step: int) -> dict[str, str]:
    def right(answer: Answer) -> bool:
        judgement = Judgement(workbench, workbench.reference)
        judgement.add_answer(step, workbench.feed(workbench.case.calls[step]), answer)
        return judgement.outcomes()[step] is Outcome.PASSED

    return diagnose_refusal(workbench, refusal, step, right)


def _asked(workbench: Workbench) -> Verdict:
    """The verdict on the user's samples and, where that is good, on a few with other values."""
    reference, _ = workbench.reference, workbench.artifact
    others = other_values(workbench)
    seconds = workbench.case.search.seconds
    if isinstance(others, str):
        verdict = _judged(workbench, reference, answers_of(workbench, reference.steps))
        return unvaried(workbench, others, verdict) if verdict.passed else verdict
    own, further = reference.steps, others.reference.steps
    if reference.changes:  # what it answers depends on the calls before: a session for each
        verdict = _judged(workbench, reference, answers_of(workbench, own))
        other = workbench.on(others.reference)
        answers = answers_of(other, further, seconds=seconds) if verdict.passed else []
    else:
        answers = answers_of(workbench, [*own, *further], seconds=seconds, first=len(own))
        verdict = _judged(workbench, reference, answers[: len(own)])
        answers = answers[len(own) :]
    return judged_at(workbench, others, answers, verdict) if verdict.passed else verdict


def _judged(workbench: Workbench, reference: Reference, answers: Sequence[PortAnswer]) -> Verdict:
    return Judgement(workbench, reference).add_answers(answers).verdict()
