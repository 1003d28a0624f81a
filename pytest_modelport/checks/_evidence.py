"""The text and the figures that a verdict on answers comes with."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from pytest_modelport.compare.comparison import Comparison, compare
from pytest_modelport.compare.judge import Opinion, allowance, sqnr_db
from pytest_modelport.core import tree
from pytest_modelport.core.arrays import Array
from pytest_modelport.core.sample import Sample
from pytest_modelport.core.verdict import Outcome, jsonable
from pytest_modelport.reference.expected import Expected, ExpectedCall
from pytest_modelport.request.tolerance import Tolerance

if TYPE_CHECKING:
    from torch import nn

Judged = Sequence[tuple[Comparison, Opinion]]


def inputs_text(module: nn.Module, sample: Sample) -> str:
    """The inputs of a call: names, dtypes, shapes."""
    from pytest_modelport.core.tensors import to_array
    from pytest_modelport.subject.inputs import name_inputs

    inputs = name_inputs(module, sample)
    tensors = [f"{item.name} {to_array(item.tensor).described}" for item in inputs.tensors]
    constants = [f"{name} {value!r}" for name, value in inputs.constants.items()]
    return ", ".join([*tensors, *constants])


def figures(
    comparison: Comparison, tolerance: Tolerance, *, evaluations: int, fallback: bool
) -> dict[str, Any]:
    """What is behind the comparison that decides, JSON only. evaluations: of the noise, eager's
    own included.
    """
    source = allowance(tolerance, evaluations=evaluations, fallback=fallback)
    score, asked_db = comparison.score, tolerance.sqnr_db
    if asked_db is not None and score > tolerance.factor:
        source = {
            "source": f"values are rounded to steps: {asked_db:.0f} dB of signal over error",
            "factor": 1.0,
        }
        score = 10 ** ((asked_db - sqnr_db(comparison)) / 20)
    return {
        "comparison": jsonable(asdict(comparison)),
        "allowance": source,
        "needs": jsonable(score),
    }


def summary(judged: Judged, tolerance: Tolerance) -> str:
    """The reason of a verdict that passed: how near the worst comes, and how much was compared."""
    calls = len({comparison.call for comparison, _ in judged})
    outputs = len({comparison.name for comparison, _ in judged})
    nearness = _nearness([comparison for comparison, _ in judged], tolerance)
    return f"{nearness}; {outputs} output{'s' * (outputs > 1)}, {calls} calls"


def _nearness(comparisons: Sequence[Comparison], tolerance: Tolerance) -> str:
    score = max((comparison.score for comparison in comparisons), default=0.0)
    allowed = tolerance.sqnr_db
    if allowed is None or score <= tolerance.factor:
        if tolerance.fixed:
            return f"{score:.2g} of the given tolerance"
        return f"{score:.2g} x noise, allowed {tolerance.factor:g}"
    if allowed == -math.inf:
        return "names, shapes and dtypes as they must be"
    apart = min(map(sqnr_db, comparisons), default=math.inf)
    return f"{apart:.0f} dB, at least {allowed:.0f} required where values are rounded to steps"


def by_call(labels: Sequence[str], results: Sequence[tuple[str, Outcome]]) -> dict[str, str]:
    """Each call with the worst that became of it, or that it was not reached."""
    found = dict.fromkeys(labels, Outcome.PASSED)
    for label, outcome in results:
        found[label] = max(found[label], outcome, key=lambda item: item.severity)
    reached = {label for label, _ in results}
    return {
        label: str(outcome) if label in reached else "not reached"
        for label, outcome in found.items()
    }


def notes(judged: Judged) -> tuple[str, ...]:
    """Which outputs passed although their allowance is wide, and which without the oracle."""
    weak = (
        _weak(comparison)
        for comparison, opinion in judged
        if opinion.outcome is Outcome.PASSED and _moves_visibly(comparison)
    )
    unseen = (
        f"the oracle is not usable at {comparison.against_eager} of {comparison.count} elements of "
        f"'{comparison.name}' at {comparison.call}: judged against the model's own answers"
        for comparison, _ in judged
        if comparison.against_eager
    )
    return (*weak, *unseen)


def _moves_visibly(comparison: Comparison) -> bool:
    """Whether the subject's own rounding moves the output by more than one part in a hundred."""
    return comparison.noise > 0.01 * comparison.magnitude > 0


def _weak(comparison: Comparison) -> str:
    place = f"'{comparison.name}' at {comparison.call}"
    share = comparison.noise / comparison.magnitude
    return f"weak evidence for {place}: rounding alone moves the model's own answer by {share:.1%}"


#: Said of errors that a comparison by torch.testing's defaults would not see.
DIGITS = "a loss of precision, where torch.testing's defaults see none"


def only_digits(
    comparison: Comparison, expected: Expected, got: Array, tolerance: Tolerance
) -> bool:
    """Whether an output's values are so little off that torch.testing's table for the dtype allows
    it.
    """
    if not comparison.score or comparison.nonfinite or expected.changed or tolerance.fixed:
        return False
    table = Tolerance().for_dtype(expected.eager.dtype)
    return compare(comparison.call, expected, got, table).score <= 1


def _holds_something(sample: Sample) -> bool:
    """Whether a sample has a tensor with elements, or none at all."""
    from pytest_modelport.core.tensors import is_tensor

    given = tree.flatten((sample.args, dict(sample.kwargs)), is_tensor).leaves
    return not given or any(tensor.numel() for _, tensor in given)


def without_numbers(steps: Sequence[ExpectedCall], *, tensors: bool) -> Opinion:
    """What answers amount to that hold no finite number, and differ in nothing else. tensors:
    whether there are any.
    """
    constants = max(len(step.constants) for step in steps)
    if not any(_holds_something(step.call.sample) for step in steps):
        return Opinion(Outcome.INCONCLUSIVE, "nothing was compared: every input is empty")
    if tensors:
        what = "no output holds a finite number: their shapes, dtypes and places are the model's"
    elif constants:
        what = f"no tensors: {constants} Python value{'s' * (constants > 1)} as the model's"
    else:
        return Opinion(Outcome.INCONCLUSIVE, "nothing was compared: there are no outputs")
    return Opinion(Outcome.PASSED, f"{what}; {len(steps)} calls")
