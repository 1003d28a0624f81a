"""What the port must answer: the subject's own answers, the oracle behind them, and the noise
around it.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from pytest_modelport.core.cause import Cause
from pytest_modelport.core.sample import Call
from pytest_modelport.core.tree import Spec
from pytest_modelport.isolation.jobs import Done, Raised
from pytest_modelport.isolation.stops import SubjectFailed
from pytest_modelport.reference.expected import (
    Expected,
    around_eager,
    deviations,
    values_of,
)
from pytest_modelport.reference.records import expected_calls
from pytest_modelport.reference.schedule import Made, at_once, gathered, made, rounds
from pytest_modelport.reference.subject_jobs import SubjectJobs

if TYPE_CHECKING:
    from torch import nn

#: Noise evaluations: each is a few forward passes, so large subjects get fewer and pool more
#: elements instead.
EVALUATIONS = 16
EVALUATIONS_LARGE = 6
LARGE = 16_000_000  # parameters and output elements


class Reference:
    """The subject's answers to a sequence of calls.

    Every evaluation starts from the state the subject has now (each in its own fork, or restored in
    between). Raises `SubjectFailed` when the subject rejects a call, crashes or hangs. eager_only:
    without oracle and noise. within: that too, for so many seconds, about what it does not reject
    (`asked`: how many calls; `answered`: which). evaluations: of the noise.
    """

    def __init__(
        self,
        module: nn.Module,
        calls: Sequence[Call],
        device: str,
        scratch: Path,
        *,
        timeout: float,
        seed: int,
        eager_only: bool = False,
        within: float | None = None,
        evaluations: int = 0,
    ) -> None:
        from pytest_modelport.reference import evaluate

        self.calls = tuple(calls)
        self.changes: tuple[str, ...] = ()
        self.holes: Mapping[str, str] = {}
        self.random: tuple[str, ...] = ()
        self.noise_failure: Cause | None = None
        self.evaluations = 0
        self._amplified: dict[tuple[int, float], list[tuple[Expected, float]]] = {}
        self.jobs = SubjectJobs(module, device, scratch, timeout)
        self._seed = seed
        self.spec: Spec = []
        self.sparse: Sequence[str] = ()
        record = self._eager_answers(evaluate.eager, within=within)
        self.changes, self._grew = tuple(record["changes"]), int(record["grew"])
        self.asked, self.answered = record["asked"], record["answered"]
        self.calls = tuple(self.calls[number] for number in self.answered)
        if eager_only or within is not None:
            self.steps = expected_calls(scratch, self.calls, record, None)
            return
        exact = self._oracle(evaluate.exact)
        self.steps = expected_calls(scratch, self.calls, record, exact)
        self._count(made(scratch / "eager.bin", record))
        self.deepen(evaluations or (EVALUATIONS_LARGE if self._large() else EVALUATIONS))

    def around_eager(self, numbers: Sequence[int], evaluations: int) -> Reference:
        """Some of the calls, with so many evaluations of the noise around the subject's own
        answers: no oracle is asked.

        For a subject that keeps no state: what it answers must not depend on the calls between.
        """
        other = self.only(numbers)
        other.steps = tuple(map(around_eager, other.steps))
        other.evaluations, other._amplified = 0, {}
        other.deepen(evaluations)
        return other

    def only(self, numbers: Sequence[int]) -> Reference:
        """Some of the calls, with what is known about them."""
        other = copy.copy(self)
        other.calls = tuple(self.calls[number] for number in numbers)
        other.steps = tuple(self.steps[number] for number in numbers)
        return other

    @property
    def notes(self) -> tuple[str, ...]:
        """What a reader should know about the subject, whatever becomes of its ports."""
        notes = []
        if self.changes:
            notes.append(f"the model keeps state: {', '.join(self.changes[:3])} changed")
        if self.random:
            drawn = ", ".join(self.random[:3])
            notes.append(
                f"the model draws random numbers: {drawn}; both sides start from the same seed"
            )
        if self.holes:
            name, said = next(iter(self.holes.items()))
            notes.append(
                f"no float64 kernel for {name} ({said[:80]}): its own results count as exact"
            )
        if self.sparse:
            notes.append(f"sparse, and compared as dense tensors: {', '.join(self.sparse)}")
        return (*notes, *self.unmeasured, *self._nonfinite())

    @property
    def unmeasured(self) -> tuple[str, ...]:
        """Why the allowance does not come from the noise, where it does not."""
        if self.noise_failure is None:
            return ()
        cause = self.noise_failure.headline[:80]
        return (f"noise could not be measured ({cause}): torch.testing's tolerances were used",)

    def _nonfinite(self) -> list[str]:
        """The first output of the subject that is not finite."""
        for step in self.steps:
            for item in step.outputs:
                if not item.exact and not np.isfinite(item.eager.numpy()).all():
                    place = f"{step.call.label} ({item.eager.described})"
                    return [f"the model's own '{item.name}' has NaN or inf at {place}"]
        return []

    def _eager_answers(
        self, evaluation: Callable[..., dict[str, Any]], **options: Any
    ) -> dict[str, Any]:
        ending = self.jobs.run_one("eager.bin", evaluation, self.calls, **options)
        if isinstance(ending, Done):
            record: dict[str, Any] = ending.value
            self.spec = next((row["spec"] for row in record["calls"]), [])
            self.sparse = next((row["sparse"] for row in record["calls"]), [])
            return record
        raise SubjectFailed(
            ending, ending.cause.message if isinstance(ending, Raised) else self.calls[0].label
        )

    def _oracle(self, evaluation: Callable[..., dict[str, Any]]) -> dict[str, Any] | None:
        ending = self.jobs.run_one("exact.bin", evaluation, self.calls)
        if isinstance(ending, Done):
            self.holes, self.random = ending.value["holes"], tuple(ending.value["random"])
            return dict(ending.value)
        said = ending.cause.headline if isinstance(ending, Raised) else type(ending).__name__
        self.holes = {"the whole subject": said}
        return None

    def _large(self) -> bool:
        parameters = sum(parameter.numel() for parameter in self.jobs.module.parameters())
        outputs = sum(item.oracle.size for step in self.steps for item in step.outputs)
        return parameters + outputs > LARGE

    def deepen(self, count: int) -> None:
        """Draw `count` more noise evaluations. Deterministic: the n-th evaluation has the n-th
        seed.
        """
        for evaluation in self._noisy(
            [self._seed + number for number in range(self.evaluations, self.evaluations + count)]
        ):
            self._count(evaluation)
        self.evaluations += count

    def _noisy(self, seeds: list[int], amplitude: float = 1.0) -> Iterator[list[Made]]:
        """What noise evaluations made of every call, seed by seed. Stops with `noise_failure` set
        when one fails.
        """
        from pytest_modelport.reference import evaluate

        processes = 1 if self._large() else at_once(self._grew)
        for shares in rounds(seeds, len(self.calls), processes, alone=bool(self.changes)):
            endings = self.jobs.run(
                [
                    self.jobs.job(
                        share.file,
                        evaluate.noisy,
                        share.of(self.calls),
                        seeds=share.seeds,
                        amplitude=amplitude,
                    )
                    for share in shares
                ]
            )
            done = [ending.value for ending in endings if isinstance(ending, Done)]
            if len(done) < len(shares):
                failed = next(ending for ending in endings if not isinstance(ending, Done))
                self.noise_failure = (
                    failed.cause if isinstance(failed, Raised) else Cause(type(failed).__name__, "")
                )
                return
            yield from gathered(self.jobs.scratch, len(self.calls), zip(shares, done, strict=True))

    def amplified(self, step: int, expected: Expected, amplitude: float) -> float:
        """One tensor's rms deviation when every rounding is `amplitude` times as coarse. inf where
        it cannot be had.
        """
        if (step, amplitude) not in self._amplified:
            self._amplified[step, amplitude] = self._coarse(step, amplitude)
        found = self._amplified[step, amplitude]
        return next((rms for item, rms in found if item.eager is expected.eager), math.inf)

    def _coarse(self, step: int, amplitude: float) -> list[tuple[Expected, float]]:
        """Every float tensor of one call with that deviation. What a subject that keeps no state
        did before is left out.
        """
        other = copy.copy(self)
        if not self.changes:
            other.calls, other.steps, step = (self.calls[step],), (self.steps[step],), 0
        squares: list[tuple[Expected, list[float]]] = []
        for evaluation in other._noisy(
            [self._seed + number for number in range(EVALUATIONS)], amplitude
        ):
            pairs = [
                (item, array)
                for item, array in evaluation[step].paired(other.steps[step])
                if not item.exact
            ]
            squares = squares or [(item, []) for item, _ in pairs]
            for (item, found), (_, array) in zip(squares, pairs, strict=True):
                values = values_of(array)
                same = values.shape == item.oracle.shape
                found.append(
                    float(np.mean(np.square(deviations(values, item.oracle)))) if same else math.inf
                )
        measured = other.noise_failure is None
        return (
            [(item, math.sqrt(sum(found) / len(found))) for item, found in squares]
            if measured
            else []
        )

    def _count(self, evaluation: Sequence[Made]) -> None:
        """Add one evaluation to every tensor's noise."""
        for step, one in zip(self.steps, evaluation, strict=True):
            for expected, array in one.paired(step):
                expected.observe(array)
