"""A port's answers to a sequence of calls, and what they add up to beside what they must be."""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from pytest_modelport.asking import Given
from pytest_modelport.bench import Bench
from pytest_modelport.compare import Comparison, compare, describe
from pytest_modelport.diagnose import Suspect, diagnose
from pytest_modelport.expected import Expected, Step
from pytest_modelport.feed import Answer, Feed
from pytest_modelport.feeding import unkept
from pytest_modelport.reference import EVALUATIONS, Reference
from pytest_modelport.stopped import Stopped
from pytest_modelport.tolerance import Opinion, allowance, fidelity, judge
from pytest_modelport.verdict import Outcome, Stage, Verdict, jsonable
from pytest_modelport.wire import Array

#: A failure by less than this factor must survive a second, larger estimate of the noise.
_CLOSE = 8.0
#: How much coarser the rounding is made to see whether large noise is ordinary cancellation, and the least growth that says so.
#: Noise that comes from flipped decisions grows with the square root of their number, by 4.
_AMPLITUDE, _LINEAR = 16.0, 8.0


@dataclass(frozen=True)
class _Pair:
    """Something the port produced and what it must be."""

    step: int
    expected: Expected
    got: Array


class Finding:
    """What is known so far about one route's answers."""

    def __init__(self, bench: Bench, reference: Reference, *, check: str = "parity") -> None:
        self.bench, self._check = bench, check
        self.reference = reference
        self.pairs: list[_Pair] = []
        self.faults: list[tuple[str, Stage, Opinion, dict[str, Any]]] = []

    def take(self, given: Sequence[Given]) -> Finding:
        """Add what the port gave for each call, in order."""
        for position, (step, one) in enumerate(zip(self.reference.steps, given, strict=False)):
            if isinstance(one, Stopped):
                self.refuse(step, one)
            else:
                self.receive(position, *one)
        return self

    def refuse(self, step: Step, end: Stopped) -> None:
        """The port gave no answer to this call."""
        self.faults.append((step.call.label, end.stage, Opinion(end.outcome, end.reason, 1e12), dict(end.evidence)))

    def wrong(self, step: Step, reason: str) -> None:
        """The answer differs in structure."""
        self.faults.append((step.call.label, Stage.COMPARE, Opinion(Outcome.FAILED, reason, 1e10), {}))

    def receive(self, position: int, feed: Feed, answer: Answer) -> None:
        """Pair up one call's answer with what it must be."""
        step = self.reference.steps[position]
        outputs = self._matched(step, answer)
        if outputs is not None:
            self.pairs += [_Pair(position, item, got) for item, got in zip(step.outputs, outputs, strict=True)]
        self._promises(step, answer)
        self._constants(step, answer)
        self._mutations(step, position, feed, answer)

    def _promises(self, step: Step, answer: Answer) -> None:
        """A broken promise counts where nothing worse is wrong."""
        for said in unkept(self.bench.artifact.manifest, answer):
            reason = f"the port breaks its promise at {step.call.label}: {said}"
            self.faults.append((step.call.label, Stage.COMPARE, Opinion(Outcome.FAILED, reason, 0.0), {}))

    def _matched(self, step: Step, answer: Answer) -> list[Array] | None:
        """The answer's arrays in the order of the subject's outputs; None when they do not correspond."""
        wanted, got = [item.name for item in step.outputs], dict(answer.outputs)
        if set(wanted) == set(got) and len(got) == len(answer.outputs):
            return [got[name] for name in wanted]
        if self.bench.artifact.manifest.brought and len(wanted) == len(answer.outputs) and not set(wanted) & set(got):
            return [array for _, array in answer.outputs]  # all its names are its own: by position
        if self.bench.artifact.manifest.call == "flat" and len(wanted) != len(got):
            self.wrong(step, f"the port gives {len(got)} tensors at {step.call.label}, the subject {len(wanted)}")
            return None
        missing, extra = [name for name in wanted if name not in got], [name for name in got if name not in wanted]
        parts = [f"{word} {', '.join(names[:4])}" for word, names in (("lacks", missing), ("adds", extra)) if names]
        self.wrong(step, f"outputs at {step.call.label}: the port {' and '.join(parts) or 'repeats one'}")
        return None

    def _constants(self, step: Step, answer: Answer) -> None:
        manifest = self.bench.artifact.manifest
        got = dict(answer.constants) if manifest.call == "natural" else dict(manifest.constants)
        for name in step.constants.keys() | got.keys():
            expected = step.constants.get(name, "nothing")
            if expected != got.get(name, "nothing"):
                value = got.get(name, "nothing")
                self.wrong(step, f"Python value {name!r} at {step.call.label} is {value!r}, the subject's is {expected!r}")

    def _mutations(self, step: Step, position: int, feed: Feed, answer: Answer) -> None:
        for index, (name, before) in enumerate(feed.inputs.items()):
            expected = step.mutated.get(index)
            if expected is not None:
                self.pairs.append(_Pair(position, replace(expected, name=name), answer.mutated.get(name, before)))
            elif name in answer.mutated:
                self.wrong(step, f"the port changes its input {name!r} in place at {step.call.label}, the subject does not")

    def clear(self, share: float) -> list[bool]:
        """Which calls are right within a share of the allowance, so that a better estimate of the noise would say the same.

        None where the noise could not be measured.
        """
        if self._fallback:
            return [False] * len(self.reference.calls)
        opinions = self._opinions(share)
        wrong = {label for label, *_ in self.faults}
        wrong |= {
            comparison.call for comparison, opinion in opinions if opinion.rank > share or opinion.outcome is not Outcome.PASSED
        }
        reached = {comparison.call for comparison, _ in opinions}
        return [call.label in reached and call.label not in wrong for call in self.reference.calls]

    def outcomes(self) -> list[Outcome]:
        """What became of each call, in order. One that was not reached counts as the one that ended the port."""
        found = self._samples(self._opinions())
        worst = max(
            (opinion.outcome for _, _, opinion, _ in self.faults), default=Outcome.PASSED, key=lambda item: item.severity
        )
        return [worst if found[call.label] == "not reached" else Outcome(found[call.label]) for call in self.reference.calls]

    def verdict(self) -> Verdict:
        """The worst of everything found."""
        opinions = self._opinions()
        if any(1 < opinion.rank < _CLOSE and opinion.outcome is Outcome.FAILED for _, opinion in opinions):
            self.reference.deepen(EVALUATIONS)
            opinions = self._opinions()
        samples = self._samples(opinions)
        notes = self._notes(opinions)
        worst = max(opinions, key=lambda item: (item[1].outcome.severity, item[1].rank), default=None)
        fault = max(self.faults, key=lambda item: (item[2].outcome.severity, item[2].rank), default=None)
        level = fault[2].outcome.severity - worst[1].outcome.severity if fault and worst else 1
        if fault and (level > 0 or (level == 0 and fault[2].rank)):
            _, stage, opinion, evidence = fault
            return self._say(stage, opinion, {**evidence, "calls": samples}, notes)
        compared = any(comparison.count for comparison, _ in opinions)
        if worst is None or (worst[1].outcome is Outcome.PASSED and not compared):
            why = "every output is empty or has no finite number" if worst else "there are no outputs"
            return self._say(
                Stage.COMPARE, Opinion(Outcome.INCONCLUSIVE, f"nothing was compared: {why}"), {"calls": samples}, notes
            )
        comparison, opinion = worst
        if opinion.outcome is Outcome.PASSED:
            opinion = replace(opinion, reason=self._summary(opinions))
        evidence = {**self._figures(comparison), **self._diagnosis(comparison, opinion), "calls": samples}
        evidence["sample"] = self._sample(comparison.call)
        return self._say(Stage.COMPARE, opinion, evidence, notes)

    def _sample(self, label: str) -> str:
        """The inputs of a call: names, dtypes, shapes."""
        from pytest_modelport.subject import inputs
        from pytest_modelport.tensors import to_array

        sample = next(call.sample for call in self.reference.calls if call.label == label)
        given = inputs(self.bench.case.module, sample)
        tensors = [f"{item.name} {describe(to_array(item.tensor))}" for item in given.tensors]
        return ", ".join([*tensors, *(f"{name} {value!r}" for name, value in given.constants.items())])

    def _diagnosis(self, comparison: Comparison, opinion: Opinion) -> dict[str, str]:
        """Where and why, for values that are wrong; a wrong shape or a changed input says it all itself."""
        if opinion.outcome is not Outcome.FAILED or not comparison.matches:
            return {}
        step = next(number for number, item in enumerate(self.reference.steps) if item.call.label == comparison.call)

        def agrees(answer: Answer) -> bool:
            other = Finding(self.bench, self.reference)
            other.receive(step, self.bench.feed(self.reference.calls[step]), answer)
            opinions = other._opinions()
            return not other.faults and all(found.outcome is Outcome.PASSED for _, found in opinions)

        return diagnose(self.bench, Suspect(comparison, step), agrees)

    def _say(self, stage: Stage, opinion: Opinion, evidence: dict[str, Any], notes: tuple[str, ...]) -> Verdict:
        return self.bench.verdict(self._check, stage, opinion.outcome, opinion.reason, evidence, notes)

    def _opinions(self, share: float = math.inf) -> list[tuple[Comparison, Opinion]]:
        """Every comparison, and what to think of it. share: of the allowance; what needs more is not looked into further."""
        tolerance, fallback = self.bench.tolerance, self._fallback
        found = []
        for pair in self.pairs:
            expected = pair.expected
            fixed = tolerance.for_dtype(expected.eager.dtype) if tolerance.fixed or fallback else None
            comparison = compare(self.reference.calls[pair.step].label, expected, pair.got, fixed)
            near = comparison.score <= share * tolerance.factor
            linear = functools.partial(self._linear, pair) if near else lambda: False
            opinion = judge(comparison, tolerance, fallback=fallback, linear=linear)
            found.append((comparison, self._reworded(opinion, comparison, expected)))
        return found

    @property
    def _fallback(self) -> bool:
        return self.reference.noise_failure is not None

    def _reworded(self, opinion: Opinion, comparison: Comparison, expected: Expected) -> Opinion:
        if not expected.changed or opinion.outcome is Outcome.PASSED:
            return opinion
        text = f"the subject changes its input '{comparison.name}' in place at {comparison.call}, the port not so"
        return replace(opinion, reason=text)

    def _linear(self, pair: _Pair) -> bool:
        """Whether noise larger than the dtype is worth is cancellation, which grows in step with the rounding."""
        rms = pair.expected.noise.rms
        amplified = self.reference.amplified(pair.step, pair.expected, _AMPLITUDE)
        return rms > 0 and math.isfinite(amplified) and amplified >= _LINEAR * rms

    def _samples(self, opinions: list[tuple[Comparison, Opinion]]) -> dict[str, str]:
        """Each call with what became of it."""
        found = {step.call.label: Outcome.PASSED for step in self.reference.steps}
        reached = {label for label, *_ in self.faults} | {comparison.call for comparison, _ in opinions}
        results = [(label, opinion.outcome) for label, _, opinion, _ in self.faults]
        results += [(comparison.call, opinion.outcome) for comparison, opinion in opinions]
        for label, outcome in results:
            found[label] = max(found[label], outcome, key=lambda item: item.severity)
        return {label: str(outcome) if label in reached else "not reached" for label, outcome in found.items()}

    def _figures(self, comparison: Comparison) -> dict[str, Any]:
        """The evidence behind the comparison that decides, JSON only."""
        source = allowance(self.bench.tolerance, evaluations=self.reference.evaluations + 1, fallback=self._fallback)
        score, asked_db = comparison.score, self.bench.tolerance.fidelity
        if asked_db is not None and score > self.bench.tolerance.factor:
            source = {"source": f"values are rounded to steps: {asked_db:.0f} dB of signal over error", "factor": 1.0}
            score = 10 ** ((asked_db - fidelity(comparison)) / 20)
        return {"comparison": jsonable(asdict(comparison)), "allowance": source, "needs": jsonable(score)}

    def _summary(self, opinions: list[tuple[Comparison, Opinion]]) -> str:
        tolerance = self.bench.tolerance
        score = max((comparison.score for comparison, _ in opinions), default=0.0)
        apart = min((fidelity(comparison) for comparison, _ in opinions), default=math.inf)
        measured = "of the given tolerance" if tolerance.fixed else f"x noise, allowed {tolerance.factor:g}"
        calls = len({comparison.call for comparison, _ in opinions})
        outputs = len({comparison.name for comparison, _ in opinions})
        allowed = tolerance.fidelity
        if allowed is not None and score > tolerance.factor:
            near = f"{apart:.0f} dB, at least {allowed:.0f} asked where values are rounded to steps"
            said = "structure as asked" if allowed == -math.inf else near
            return f"{said}; {outputs} output{'s' * (outputs > 1)}, {calls} calls"
        return f"{score:.2g} {measured}; {outputs} output{'s' * (outputs > 1)}, {calls} calls"

    def _notes(self, opinions: list[tuple[Comparison, Opinion]]) -> tuple[str, ...]:
        """Which outputs passed although their allowance is wide."""
        return tuple(map(_worth, filter(_worth_little, opinions)))


def _worth_little(item: tuple[Comparison, Opinion]) -> bool:
    """A comparison that passed although the subject's own rounding moves the output visibly."""
    comparison, opinion = item
    return opinion.outcome is Outcome.PASSED and comparison.noise > 0.01 * comparison.magnitude > 0


def _worth(item: tuple[Comparison, Opinion]) -> str:
    comparison = item[0]
    share = comparison.noise / comparison.magnitude
    return f"'{comparison.name}' at {comparison.call} is worth little: the subject's own rounding moves it by {share:.1g}"
