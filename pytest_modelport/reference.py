"""What the port must answer: the subject's own answers, the oracle behind them, and the noise around it."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from pytest_modelport import wire
from pytest_modelport.cause import Cause
from pytest_modelport.compare import describe
from pytest_modelport.evaluations import Made, at_once, gathered, made, rounds
from pytest_modelport.expected import Expected, Step, around_eager, deviations, unobserved, values_of
from pytest_modelport.isolate import Done, Ending, Raised, run_all
from pytest_modelport.localise import Operation, Traced
from pytest_modelport.matching import Known
from pytest_modelport.sample import Call
from pytest_modelport.signature import Signature
from pytest_modelport.stopped import SubjectFailed
from pytest_modelport.tree import Spec

if TYPE_CHECKING:
    from torch import nn

#: Noise evaluations: each is a few forward passes, so large subjects get fewer and pool more elements instead.
EVALUATIONS = 16
EVALUATIONS_LARGE = 6
LARGE = 16_000_000  # parameters and output elements


class Reference:
    """The subject's answers to a sequence of calls.

    Every evaluation starts from the state the subject has now (each in its own fork, or restored in between). Raises
    `SubjectFailed` when the subject rejects a call, crashes or hangs. law_only: without oracle and noise. within: that too, for
    so many seconds, about what it does not reject (`asked`: how many calls; `answered`: which). evaluations: of the noise.
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
        law_only: bool = False,
        within: float | None = None,
        evaluations: int = 0,
    ) -> None:
        from pytest_modelport import evaluate

        self.calls = tuple(calls)
        self.changes: tuple[str, ...] = ()
        self.holes: Mapping[str, str] = {}
        self.random: tuple[str, ...] = ()
        self.noise_failure: Cause | None = None
        self.evaluations = 0
        self._amplified: dict[tuple[int, float], list[tuple[Expected, float]]] = {}
        self._module, self._device, self._scratch, self._timeout, self._seed = module, device, scratch, timeout, seed
        self.spec: Spec = []
        record = self._law(evaluate.eager, within=within)
        self.changes, self._grew = tuple(record["changes"]), int(record["grew"])
        self.asked, self.answered = record["asked"], record["answered"]
        self.calls = tuple(self.calls[number] for number in self.answered)
        if law_only or within is not None:
            self.steps = self._steps(record, None)
            return
        self.steps = self._steps(record, self._oracle(evaluate.exact))
        self._count(made(self._scratch / "eager.bin", record))
        self.deepen(evaluations or (EVALUATIONS_LARGE if self._large() else EVALUATIONS))

    def around_eager(self, numbers: Sequence[int], evaluations: int) -> Reference:
        """Some of the calls, with so many evaluations of the noise around the subject's own answers: no oracle is asked.

        For a subject that keeps no state: what it answers must not depend on the calls between.
        """
        other = copy.copy(self)
        other.calls = tuple(self.calls[number] for number in numbers)
        other.steps = tuple(around_eager(self.steps[number]) for number in numbers)
        other.evaluations, other._amplified = 0, {}
        other.deepen(evaluations)
        return other

    @property
    def notes(self) -> tuple[str, ...]:
        """What a reader should know about the subject, whatever becomes of its ports."""
        notes = []
        if self.changes:
            notes.append(f"the subject keeps state: {', '.join(self.changes[:3])} changed")
        if self.random:
            drawn = ", ".join(self.random[:3])
            notes.append(f"the subject draws random numbers: {drawn}; both sides start from the same seed")
        if self.holes:
            name, said = next(iter(self.holes.items()))
            notes.append(f"no float64 kernel for {name} ({said[:80]}): its own results count as exact")
        return (*notes, *self.unmeasured, *self._nonfinite())

    @property
    def unmeasured(self) -> tuple[str, ...]:
        """Why the allowance does not come from the noise, where it does not."""
        if self.noise_failure is None:
            return ()
        return (f"noise could not be measured ({self.noise_failure.headline[:80]}): torch.testing's tolerances were used",)

    def _nonfinite(self) -> list[str]:
        """The first output of the subject that is not finite."""
        for step in self.steps:
            for item in step.outputs:
                if not item.exact and not np.isfinite(item.eager.numpy()).all():
                    return [f"the subject's own '{item.name}' has NaN or inf at {step.call.label} ({describe(item.eager)})"]
        return []

    def _job(self, file: str, evaluation: Callable[..., Any], **options: Any) -> Ending:
        return self._run([self._work(file, evaluation, self.calls, **options)])[0]

    def _work(self, file: str, evaluation: Callable[..., Any], calls: Sequence[Call], **options: Any) -> Callable[[], Any]:
        from pytest_modelport.tensors import without_autocast

        def job() -> Any:
            with without_autocast():
                return evaluation(self._module, calls, self._device, self._scratch / file, **options)

        return job

    def _run(self, jobs: Sequence[Callable[[], Any]]) -> list[Ending]:
        """Each in a fork of its own, all at the same time."""
        from pytest_modelport.subject import paths

        log = self._scratch / "reference.log"
        return run_all(jobs, timeout=self._timeout, log=log, paths=paths(self._module), restore=self._module)

    def _law(self, evaluation: Callable[..., dict[str, Any]], **options: Any) -> dict[str, Any]:
        ending = self._job("eager.bin", evaluation, **options)
        if isinstance(ending, Done):
            record: dict[str, Any] = ending.value
            self.spec = next((row["spec"] for row in record["calls"]), [])
            return record
        raise SubjectFailed(ending, ending.cause.message if isinstance(ending, Raised) else self.calls[0].label)

    def _oracle(self, evaluation: Callable[..., dict[str, Any]]) -> dict[str, Any] | None:
        ending = self._job("exact.bin", evaluation)
        if isinstance(ending, Done):
            self.holes, self.random = ending.value["holes"], tuple(ending.value["random"])
            return dict(ending.value)
        said = ending.cause.headline if isinstance(ending, Raised) else type(ending).__name__
        self.holes = {"the whole subject": said}
        return None

    def _steps(self, law: dict[str, Any], exact: dict[str, Any] | None) -> tuple[Step, ...]:
        eager_arrays = wire.read(self._scratch / "eager.bin", law["table"])
        exact_arrays = wire.read(self._scratch / "exact.bin", exact["table"]) if exact else eager_arrays
        steps = []
        for position, (call, row) in enumerate(zip(self.calls, law["calls"], strict=True)):
            other = exact["calls"][position] if exact else row

            def expected(name: str, index: int, exact_index: int, *, changed: bool = False) -> Expected:
                return unobserved(name, eager_arrays[index], exact_arrays[exact_index], changed=changed)

            outputs = [
                expected(name, index, exact_index)
                for (name, index), (_, exact_index) in zip(row["outputs"], other["outputs"], strict=True)
            ]
            mutated = {
                int(key): expected(key, index, other["mutated"].get(key, index), changed=True)
                for key, index in row["mutated"].items()
            }
            steps.append(Step(call, tuple(outputs), dict(row["constants"]), mutated))
        return tuple(steps)

    def _large(self) -> bool:
        parameters = sum(parameter.numel() for parameter in self._module.parameters())
        outputs = sum(item.oracle.size for step in self.steps for item in step.outputs)
        return parameters + outputs > LARGE

    def deepen(self, count: int) -> None:
        """Draw `count` more noise evaluations. Deterministic: the n-th evaluation has the n-th seed."""
        for evaluation in self._noisy([self._seed + number for number in range(self.evaluations, self.evaluations + count)]):
            self._count(evaluation)
        self.evaluations += count

    def _noisy(self, seeds: list[int], amplitude: float = 1.0) -> Iterator[list[Made]]:
        """What noise evaluations made of every call, seed by seed. Stops with `noise_failure` set when one fails."""
        from pytest_modelport import evaluate

        processes = 1 if self._large() else at_once(self._grew)
        for shares in rounds(seeds, len(self.calls), processes, alone=bool(self.changes)):
            endings = self._run(
                [
                    self._work(share.file, evaluate.noisy, share.of(self.calls), seeds=share.seeds, amplitude=amplitude)
                    for share in shares
                ]
            )
            done = [ending.value for ending in endings if isinstance(ending, Done)]
            if len(done) < len(shares):
                failed = next(ending for ending in endings if not isinstance(ending, Done))
                self.noise_failure = failed.cause if isinstance(failed, Raised) else Cause(type(failed).__name__, "")
                return
            yield from gathered(self._scratch, len(self.calls), zip(shares, done, strict=True))

    def amplified(self, step: int, expected: Expected, amplitude: float) -> float:
        """One tensor's rms deviation when every rounding is `amplitude` times as coarse. inf where it cannot be had."""
        if (step, amplitude) not in self._amplified:
            self._amplified[step, amplitude] = self._coarse(step, amplitude)
        found = self._amplified[step, amplitude]
        return next((rms for item, rms in found if item.eager is expected.eager), math.inf)

    def _coarse(self, step: int, amplitude: float) -> list[tuple[Expected, float]]:
        """Every float tensor of one call with that deviation. What a subject that keeps no state did before is left out."""
        other = copy.copy(self)
        if not self.changes:
            other.calls, other.steps, step = (self.calls[step],), (self.steps[step],), 0
        squares: list[tuple[Expected, list[float]]] = []
        for evaluation in other._noisy([self._seed + number for number in range(EVALUATIONS)], amplitude):
            pairs = [(item, array) for item, array in evaluation[step].paired(other.steps[step]) if not item.exact]
            squares = squares or [(item, []) for item, _ in pairs]
            for (item, found), (_, array) in zip(squares, pairs, strict=True):
                values = values_of(array)
                same = values.shape == item.oracle.shape
                found.append(float(np.mean(np.square(deviations(values, item.oracle)))) if same else math.inf)
        measured = other.noise_failure is None
        return [(item, math.sqrt(sum(found) / len(found))) for item, found in squares] if measured else []

    @cached_property
    def _origins(self) -> dict[str, Any]:
        from pytest_modelport import evaluate

        ending = self._job("origins.bin", evaluate.origins)
        return dict(ending.value) if isinstance(ending, Done) else {"needed": [], "derived": [], "table": []}

    @property
    def needed(self) -> tuple[str, ...]:
        """The stored tensors that the outputs depend on."""
        return tuple(self._origins["needed"])

    @property
    def derived(self) -> list[Known]:
        """What the subject computes from stored tensors alone: an exporter may store the result."""
        arrays = wire.read(self._scratch / "origins.bin", self._origins["table"])
        return [
            Known(f"a value computed from {', '.join(sources) or 'nothing'}", tuple(sources), array.numpy(), computed=True)
            for sources, array in zip(self._origins["derived"], arrays, strict=True)
        ]

    def depends(self, name: str) -> bool:
        """Whether the outputs really change when this stored tensor does."""
        from pytest_modelport import evaluate

        ending = self._job("without.bin", evaluate.without, name=name)
        if not isinstance(ending, Done):
            return True
        arrays = wire.read(self._scratch / "without.bin", ending.value["table"])
        pairs = zip(self.steps[0].outputs, ending.value["calls"][0]["outputs"], strict=True)
        return any(not arrays[index].same(item.eager) for item, (_, index) in pairs)

    def traced(self, step: int) -> Traced | None:
        """Every operation of one call; None when it cannot be had."""
        from pytest_modelport import evaluate

        ending = self._job("trace", evaluate.trace, step=step)
        if not isinstance(ending, Done):
            return None
        rows = ending.value["operations"]
        operations = [
            Operation(
                row["name"],
                row["module"],
                row["source"],
                tuple(row["sources"]),
                tuple(map(Signature.from_list, row["signatures"])),
            )
            for row in rows
        ]
        return Traced(operations, ending.value["outputs"])

    def _count(self, evaluation: Sequence[Made]) -> None:
        """Add one evaluation to every tensor's noise."""
        for step, one in zip(self.steps, evaluation, strict=True):
            for expected, array in one.paired(step):
                expected.observe(array)
