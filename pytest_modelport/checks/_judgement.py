"""A port's answers to a sequence of calls, and what they add up to beside what they must be."""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from pytest_modelport.checks._answers import PortAnswer
from pytest_modelport.checks._blame import Likeness, Suspect, same_numbers
from pytest_modelport.checks._diagnosis import diagnose
from pytest_modelport.checks._evidence import (
    DIGITS,
    by_call,
    figures,
    inputs_text,
    notes,
    only_digits,
    summary,
    without_numbers,
)
from pytest_modelport.checks._structure import in_order, other_constants
from pytest_modelport.compare.comparison import Comparison, compare
from pytest_modelport.compare.control import controls
from pytest_modelport.compare.judge import Opinion, judge
from pytest_modelport.core.arrays import Array
from pytest_modelport.core.feed import Answer, Feed
from pytest_modelport.core.verdict import Outcome, Stage, Verdict, jsonable
from pytest_modelport.isolation.stops import Stop
from pytest_modelport.reference.expected import Expected, ExpectedCall
from pytest_modelport.reference.reference import EVALUATIONS, Reference
from pytest_modelport.workbench.feeds import unkept
from pytest_modelport.workbench.workbench import Workbench

#: A failure by less than this factor must survive a second, larger estimate of the noise.
_CLOSE = 8.0
#: How much coarser the rounding is made to see whether large noise is cancellation, and the least
#: growth that says so. Noise of flipped decisions grows with the root of their number, by 4.
_AMPLITUDE, _LINEAR = 16.0, 8.0


@dataclass(frozen=True)
class _Pair:
    """Something the port produced and what it must be."""

    step: int
    expected: Expected
    got: Array


class Judgement:
    """What is known so far about one route's answers."""

    def __init__(
        self, workbench: Workbench, reference: Reference, *, check: str = "parity"
    ) -> None:
        self.workbench, self._check = workbench, check
        self.reference = reference
        self.pairs: list[_Pair] = []
        self.faults: list[tuple[str, Stage, Opinion, dict[str, Any]]] = []

    def add_answers(self, given: Sequence[PortAnswer]) -> Judgement:
        """Add what the port gave for each call, in order."""
        for position, (step, one) in enumerate(zip(self.reference.steps, given, strict=False)):
            if isinstance(one, Stop):
                self.add_refusal(step, one)
            else:
                self.add_answer(position, *one)
        return self

    def add_refusal(self, step: ExpectedCall, end: Stop) -> None:
        """The port gave no answer to this call."""
        self.faults.append(
            (step.call.label, end.stage, Opinion(end.outcome, end.reason, 1e12), dict(end.evidence))
        )

    def add_fault(self, step: ExpectedCall, reason: str, rank: float = 1e10) -> None:
        """The answer differs in structure."""
        opinion = Opinion(Outcome.FAILED, reason, rank)
        self.faults.append((step.call.label, Stage.COMPARE, opinion, {}))

    def add_answer(self, position: int, feed: Feed, answer: Answer) -> None:
        """Pair up one call's answer with what it must be."""
        step, manifest = self.reference.steps[position], self.workbench.artifact.manifest
        outputs = in_order(step, answer, manifest)
        if isinstance(outputs, str):
            self.add_fault(step, outputs)
        else:
            self.pairs += [
                _Pair(position, item, got) for item, got in zip(step.outputs, outputs, strict=True)
            ]
        for promise in unkept(manifest, answer):  # counts where nothing worse is wrong
            reason = f"the exported model breaks its promise at {step.call.label}: {promise}"
            self.add_fault(step, reason, rank=0.0)
        for difference in other_constants(step, answer, manifest):
            self.add_fault(step, difference)
        self._mutations(step, position, feed, answer)

    def _mutations(self, step: ExpectedCall, position: int, feed: Feed, answer: Answer) -> None:
        for index, (name, before) in enumerate(feed.inputs.items()):
            expected = step.mutated.get(index)
            if expected is not None:
                self.pairs.append(
                    _Pair(position, replace(expected, name=name), answer.mutated.get(name, before))
                )
            elif name in answer.mutated:
                change = f"changes its input {name!r} in place at {step.call.label}"
                self.add_fault(step, f"the exported model {change}, the model does not")

    def clearly_right(self, share: float) -> list[bool]:
        """For each call, whether it is right within a share of the allowance, so that a better
        estimate of the noise would say the same. Where the noise could not be measured no call is.
        """
        if self._fallback:
            return [False] * len(self.reference.calls)
        opinions = self._opinions(share)
        wrong = {label for label, *_ in self.faults}
        wrong |= {
            comparison.call
            for comparison, opinion in opinions
            if opinion.rank > share or opinion.outcome is not Outcome.PASSED
        }
        reached = {comparison.call for comparison, _ in opinions}
        return [call.label in reached and call.label not in wrong for call in self.reference.calls]

    def outcomes(self) -> list[Outcome]:
        """What became of each call, in order. One that was not reached counts as the one that ended
        the port.
        """
        found = self._samples(self._opinions())
        worst = max(
            (opinion.outcome for _, _, opinion, _ in self.faults),
            default=Outcome.PASSED,
            key=lambda item: item.severity,
        )
        return [
            worst if found[call.label] == "not reached" else Outcome(found[call.label])
            for call in self.reference.calls
        ]

    def verdict(self) -> Verdict:
        """The worst of everything found."""
        opinions = self._opinions()
        if any(
            1 < opinion.rank < _CLOSE and opinion.outcome is Outcome.FAILED
            for _, opinion in opinions
        ):
            self.reference.deepen(EVALUATIONS)
            opinions = self._opinions()
        samples, weak = self._samples(opinions), notes(opinions)
        worst = max(
            opinions, key=lambda item: (item[1].outcome.severity, item[1].rank), default=None
        )
        fault = max(
            self.faults, key=lambda item: (item[2].outcome.severity, item[2].rank), default=None
        )
        level = fault[2].outcome.severity - worst[1].outcome.severity if fault and worst else 1
        if fault and (level > 0 or (level == 0 and fault[2].rank)):
            _, stage, opinion, evidence = fault
            return self._say(stage, opinion, {**evidence, "calls": samples}, weak)
        compared = any(comparison.count for comparison, _ in opinions)
        if worst is None or (worst[1].outcome is Outcome.PASSED and not compared):
            said = without_numbers(self.reference.steps, tensors=bool(self.pairs))
            found = self._say(Stage.COMPARE, said, {"calls": samples}, weak)
            cautions = [*found.cautions, said.reason]
            return replace(found, evidence={**found.evidence, "cautions": cautions})
        comparison, opinion = worst
        seen: dict[str, Any] = {}
        if opinion.outcome is Outcome.PASSED:
            blind, seen = self._control(opinions)
            reason = summary(opinions, self.workbench.tolerance)
            opinion = blind or replace(opinion, reason=reason)
        elif opinion.outcome is Outcome.FAILED and self._only_digits(comparison):
            opinion = replace(opinion, reason=f"{opinion.reason}: {DIGITS}")
        evidence = {**self._evidence(comparison, opinion), **seen, "calls": samples}
        call = next(call for call in self.reference.calls if call.label == comparison.call)
        evidence["sample"] = inputs_text(self.workbench.case.module, call.sample)
        return self._say(Stage.COMPARE, opinion, evidence, weak)

    def _only_digits(self, comparison: Comparison) -> bool:
        pair = self._pair(comparison)
        return only_digits(comparison, pair.expected, pair.got, self.workbench.tolerance)

    def _pair(self, comparison: Comparison) -> _Pair:
        """What a comparison was about."""
        return next(
            pair
            for pair in self.pairs
            if pair.expected.name == comparison.name
            and self.reference.calls[pair.step].label == comparison.call
        )

    def _control(
        self, opinions: Sequence[tuple[Comparison, Opinion]]
    ) -> tuple[Opinion | None, dict[str, Any]]:
        """A wrong answer in place of each output's first, judged as the port's own are: what to
        think where it passes too, and the least that would have been seen.
        """
        tolerance, sizes = self.workbench.tolerance, []
        rows = zip(self.pairs, opinions, strict=True)
        first = {
            pair.expected.name: (pair, comparison) for pair, (comparison, _) in reversed(list(rows))
        }
        fixed = tolerance.fixed or self._fallback
        for pair, comparison in first.values():
            for control in controls(pair.expected, pair.got, comparison, tolerance, fixed=fixed):
                _, opinion = self._opinion(replace(pair, got=control.answer))
                if opinion.outcome is Outcome.PASSED:
                    place = f"'{comparison.name}' at {comparison.call}"
                    said = f"{place} proves nothing: {control.what} would pass as well"
                    return Opinion(Outcome.INCONCLUSIVE, said), {}
                sizes += [control.size] if control.size is not None else []
        return None, {"would_have_seen": jsonable(min(sizes))} if sizes else {}

    def _evidence(self, comparison: Comparison, opinion: Opinion) -> dict[str, Any]:
        """What is behind the comparison that decides, and where and why it fails."""
        tolerance, evaluations = self.workbench.tolerance, self.reference.evaluations + 1
        return {
            **figures(comparison, tolerance, evaluations=evaluations, fallback=self._fallback),
            **self._diagnosis(comparison, opinion),
        }

    def _diagnosis(self, comparison: Comparison, opinion: Opinion) -> dict[str, str]:
        """Where and why, for values that are wrong; a wrong shape or a changed input says it all
        itself.
        """
        if opinion.outcome is not Outcome.FAILED or not comparison.matches:
            return {}
        pair = self._pair(comparison)

        def likeness(answer: Answer) -> Likeness:
            other = Judgement(self.workbench, self.reference)
            feed = self.workbench.feed(self.reference.calls[pair.step])
            other.add_answer(pair.step, feed, answer)
            opinions = [found.outcome for _, found in other._opinions()]
            if not other.faults and all(item is Outcome.PASSED for item in opinions):
                return Likeness.RIGHT
            got = [pair.got for pair in other.pairs if pair.expected.name == comparison.name]
            alike = bool(got) and same_numbers(pair.got, got[0], pair.expected.oracle)
            return Likeness.SAME if alike else Likeness.OTHER

        given = {
            item.step: (item.got, item.expected.eager)
            for item in self.pairs
            if item.expected.name == comparison.name
        }
        return diagnose(self.workbench, Suspect(comparison, pair.step, likeness, given))

    def _say(
        self, stage: Stage, opinion: Opinion, evidence: dict[str, Any], notes: tuple[str, ...]
    ) -> Verdict:
        return self.workbench.verdict(
            self._check, stage, opinion.outcome, opinion.reason, evidence, notes
        )

    def _opinions(self, share: float = math.inf) -> list[tuple[Comparison, Opinion]]:
        """Every comparison, and what to think of it. share: of the allowance; what needs more is
        not looked into further.
        """
        return [self._opinion(pair, share) for pair in self.pairs]

    def _opinion(self, pair: _Pair, share: float = math.inf) -> tuple[Comparison, Opinion]:
        tolerance, fallback = self.workbench.tolerance, self._fallback
        expected = pair.expected
        fixed = tolerance.for_dtype(expected.eager.dtype) if tolerance.fixed or fallback else None
        comparison = compare(self.reference.calls[pair.step].label, expected, pair.got, fixed)
        near = comparison.score <= share * tolerance.factor
        linear = functools.partial(self._linear, pair) if near else lambda: False
        opinion = judge(comparison, tolerance, fallback=fallback, linear=linear)
        return comparison, self._reworded(opinion, comparison, expected)

    @property
    def _fallback(self) -> bool:
        return self.reference.noise_failure is not None

    def _reworded(self, opinion: Opinion, comparison: Comparison, expected: Expected) -> Opinion:
        if not expected.changed or opinion.outcome is Outcome.PASSED:
            return opinion
        change = f"changes its input '{comparison.name}' in place at {comparison.call}"
        return replace(opinion, reason=f"the model {change}, the exported model does not")

    def _linear(self, pair: _Pair) -> bool:
        """Whether noise larger than the dtype is worth is cancellation, which grows in step with
        the rounding.
        """
        rms = pair.expected.noise.rms
        amplified = self.reference.amplified(pair.step, pair.expected, _AMPLITUDE)
        return rms > 0 and math.isfinite(amplified) and amplified >= _LINEAR * rms

    def _samples(self, opinions: list[tuple[Comparison, Opinion]]) -> dict[str, str]:
        """Each call with what became of it."""
        results = [(label, opinion.outcome) for label, _, opinion, _ in self.faults]
        results += [(comparison.call, opinion.outcome) for comparison, opinion in opinions]
        return by_call([step.call.label for step in self.reference.steps], results)
