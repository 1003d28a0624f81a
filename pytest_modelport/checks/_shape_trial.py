"""Samples that a port is asked about: which of its answers are evident, which need the noise, which
are wrong.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

from pytest_modelport.checks._answers import PortAnswer, answers_of
from pytest_modelport.checks._judgement import Judgement
from pytest_modelport.compare.triage import evident
from pytest_modelport.core.verdict import Outcome
from pytest_modelport.isolation.stops import Stop
from pytest_modelport.reference.expected import ExpectedCall
from pytest_modelport.reference.reference import Reference
from pytest_modelport.request.recipes import Recipe
from pytest_modelport.search.candidates import reference_of
from pytest_modelport.search.space import Space
from pytest_modelport.workbench.feeds import unkept
from pytest_modelport.workbench.workbench import Workbench

#: What does not make a route red: a sample that is right; one about which the subject's own
#: evaluations disagree makes it inconclusive, as it would in parity.
_SOUND = (Outcome.PASSED, Outcome.INCONCLUSIVE)
#: Evaluations of the noise that a first look takes, then a second one, and the share of the
#: allowance that must do for each.
_LOOKS = ((1, 0.1), (2, 0.5))
#: So many samples are judged first, then twice as many each time, so that there is a time to stop.
_FIRST = 4
#: A port that has died this often need not be asked further.
_LIVES = 3
_LOG = logging.getLogger("pytest_modelport")


@dataclass(frozen=True)
class Trial:
    """What became of some recipes. calls: how many the port was asked, in so many seconds. wrong:
    those that fail.

    judged: how many needed the oracle, and what they add up to. undecided: about which the
    subject's own evaluations disagree. unjudged: those for which there was no time. notes: where
    their noise could not be measured.
    """

    calls: int
    seconds: float
    wrong: tuple[Recipe, ...] = ()
    undecided: tuple[Recipe, ...] = ()
    unjudged: tuple[Recipe, ...] = ()
    judged: int = 0
    judgement: Judgement | None = None
    notes: tuple[str, ...] = ()

    @property
    def per_second(self) -> float:
        """Calls of the port in a second, its opening included."""
        return round(self.calls / max(self.seconds, 1e-9), 1)

    def and_then(self, judgement: Judgement, recipes: Sequence[Recipe]) -> Trial:
        """With what became of some more recipes. Keeps the judgement that has the first wrong one,
        else the first undecided.
        """
        outcomes = list(zip(recipes, judgement.outcomes(), strict=True))
        wrong = _unique(recipe for recipe, outcome in outcomes if outcome not in _SOUND)
        undecided = _unique(
            recipe for recipe, outcome in outcomes if outcome is Outcome.INCONCLUSIVE
        )
        better = (wrong and not self.wrong) or (undecided and not (self.wrong or self.undecided))
        return replace(
            self,
            wrong=_unique([*self.wrong, *wrong]),
            undecided=_unique([*self.undecided, *undecided]),
            judgement=judgement if better else self.judgement,
            notes=(*self.notes, *judgement.reference.unmeasured),
        )


@dataclass(frozen=True)
class Noises:
    """Where the noise around the subject's answers to some samples comes from, by their numbers.

    around: so many evaluations around its own answers. full: the oracle and all evaluations.
    looks: how many evaluations the looks before a full judgement take, and which share of the
    allowance must do for each.
    """

    around: Callable[[Sequence[int], int], Reference]
    full: Callable[[Sequence[int]], Reference]
    looks: tuple[tuple[int, float], ...] = _LOOKS


def try_samples(
    workbench: Workbench,
    space: Space,
    recipes: Sequence[Recipe],
    eager: Reference,
    check: str = "shapes",
) -> Trial:
    """Ask the port, and judge whatever is not evident. eager: what the subject answers to these
    recipes.
    """
    started = time.perf_counter()
    answers = answers_of(
        workbench.on(eager), eager.steps, lives=_LIVES, seconds=workbench.case.search.seconds
    )
    seconds = time.perf_counter() - started

    def full(numbers: Sequence[int]) -> Reference:
        some = [recipes[number] for number in numbers]
        case, device = workbench.case, workbench.route.device
        return reference_of(workbench.workspace, case, space, some, device)

    noises = Noises(eager.around_eager, full)
    return replace(judged(workbench, recipes, eager, answers, noises, check), seconds=seconds)


def judged(
    workbench: Workbench,
    recipes: Sequence[Recipe],
    eager: Reference,
    answers: Sequence[PortAnswer],
    noises: Noises,
    check: str,
) -> Trial:
    """What the port's answers to these recipes amount to. Fewer answers than recipes: the others
    were not asked.
    """
    trial = Trial(len(answers), 0.0)
    pairs = enumerate(zip(eager.steps, answers, strict=False))
    doubtful = [number for number, pair in pairs if _doubtful(workbench, *pair)]
    if not doubtful:
        return trial
    trial = replace(trial, judged=len(_unique(recipes[number] for number in doubtful)))

    def and_then(trial: Trial, numbers: Sequence[int]) -> Trial:
        given = [answers[number] for number in numbers]
        judgement = _judgement(workbench, noises.full(numbers), given, check)
        return trial.and_then(judgement, [recipes[number] for number in numbers])

    if eager.changes:  # what it answers depends on the calls before
        return and_then(trial, range(len(answers)))
    left, size, started = _distinct(recipes, answers, doubtful), _FIRST, time.perf_counter()
    while left:
        if time.perf_counter() - started >= workbench.case.search.seconds:
            return replace(trial, unjudged=_unique(recipes[number] for number in left))
        some, left, size = left[:size], left[size:], 2 * size
        unclear = _unclear(workbench, noises, answers, some)
        trial = and_then(trial, unclear) if unclear else trial
        _LOG.info(
            "%s: %d more samples need the noise, %.0f s",
            workbench.route.id,
            len(left),
            time.perf_counter() - started,
        )
    return trial


def _judgement(
    workbench: Workbench, reference: Reference, answers: Sequence[PortAnswer], check: str = ""
) -> Judgement:
    return Judgement(workbench.on(reference), reference, check=check).add_answers(answers)


def _unclear(
    workbench: Workbench, noises: Noises, answers: Sequence[PortAnswer], doubtful: Sequence[int]
) -> list[int]:
    """The calls that a few evaluations of the noise around eager cannot clear: a full judgement
    takes eighteen runs.
    """
    left = list(doubtful)
    for evaluations, share in noises.looks:
        if left:
            few = noises.around(left, evaluations)
            judgement = _judgement(workbench, few, [answers[number] for number in left])
            clear = judgement.clearly_right(share)
            left = [number for number, right in zip(left, clear, strict=True) if not right]
    return left


def _distinct(
    recipes: Sequence[Recipe], answers: Sequence[PortAnswer], numbers: Sequence[int]
) -> list[int]:
    """Without calls that repeat a recipe and got the same answer again."""
    first: dict[str, PortAnswer] = {}
    kept = []
    for number in numbers:
        answer = answers[number]
        before = first.setdefault(str(recipes[number]), answer)
        if (
            answer is before
            or isinstance(answer, Stop)
            or isinstance(before, Stop)
            or not answer[1].same(before[1])
        ):
            kept.append(number)
    return kept


def _unique(recipes: Iterable[Recipe]) -> tuple[Recipe, ...]:
    """Without repetitions."""
    return tuple({str(recipe): recipe for recipe in recipes}.values())


def _doubtful(workbench: Workbench, step: ExpectedCall, answer: PortAnswer) -> bool:
    return (
        isinstance(answer, Stop)
        or not evident(step, *answer, values=workbench.tolerance.sqnr_db != -math.inf)
        or bool(unkept(workbench.artifact.manifest, answer[1]))
    )
