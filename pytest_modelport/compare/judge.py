"""From measurements to an outcome."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from pytest_modelport.compare.comparison import Comparison, eps
from pytest_modelport.core.verdict import Outcome
from pytest_modelport.request.tolerance import Tolerance

#: A sound port of a model whose values are rounded to steps: 40 to 60 were measured, 20 and less of
#: wrong ones.
STEPS_DB, _MARGIN_DB = 35.0, 3.0
#: What rounding to steps costs at most, the floor for eight bits: a loss due to training excuses
#: no port.
_STEPS_DB = 20.0


@dataclass(frozen=True)
class Opinion:
    """What one comparison amounts to. rank: worse first, to choose which comparison a verdict is
    about.
    """

    outcome: Outcome
    reason: str
    rank: float = 0.0


def judge(
    comparison: Comparison,
    tolerance: Tolerance,
    *,
    fallback: bool = False,
    linear: Callable[[], bool] = lambda: False,
) -> Opinion:
    """The outcome of one comparison.

    fallback: there is no noise to go by, so torch.testing's dtype table is used. linear: asked when
    the noise is larger than the dtype is worth: whether it is ordinary cancellation (it grows in
    step with the rounding), which is a fair allowance.
    """
    place = f"'{comparison.name}' at {comparison.call}"
    if not comparison.dtype_matches or not comparison.shape_matches:
        what = "shape" if comparison.dtype_matches else "dtype"
        said = f"{what} of {place} is {comparison.got}, the model's is {comparison.expected}"
        return Opinion(Outcome.FAILED, said + _hint(comparison), 1e9)
    if comparison.nonfinite:
        return Opinion(
            Outcome.FAILED,
            f"NaN/inf pattern of {place} differs in {comparison.nonfinite} elements",
            1e8,
        )
    if comparison.different and tolerance.sqnr_db != -math.inf:
        return _integers(comparison, tolerance, place)
    fixed = fallback or tolerance.fixed
    opinion = _floats(comparison, place, linear, 1.0 if fixed else tolerance.factor, fixed=fixed)
    if (
        opinion.outcome is Outcome.PASSED
        or tolerance.sqnr_db is None
        or sqnr_db(comparison) < tolerance.sqnr_db
    ):
        return opinion
    return Opinion(
        Outcome.PASSED,
        f"{place} agrees as far as quantization steps allow: {sqnr_db(comparison):.0f} dB",
        opinion.rank,
    )


def _hint(comparison: Comparison) -> str:
    """The cure where a file has no complex tensors, and an exporter made pairs of real ones."""
    dtype, _, shape = comparison.expected.partition("[")
    parts = {"complex64": "float32", "complex128": "float64"}.get(dtype)
    if parts is None or comparison.got != f"{parts}[{shape[:-1]}{', ' * (shape != ']')}2]":
        return ""
    return ": real and imaginary parts, as such a file has them; return torch.view_as_real(...)"


def within_steps(cost: float | None) -> float:
    """Decibels that two computations of a model with rounded values must agree to.

    cost: what the rounding itself costs, in decibels. Values that fall to the other side of a step
    here and there are off by as much as the rounding is, so agreement cannot be asked to be much
    better than that.
    """
    return min(STEPS_DB, max(math.inf if cost is None else cost, _STEPS_DB) - _MARGIN_DB)


def sqnr_db(comparison: Comparison) -> float:
    """Signal over error in decibels: 20 log10 of the ratio of their root mean squares."""
    if comparison.error == 0:
        return math.inf
    return (
        20 * math.log10(comparison.magnitude / comparison.error)
        if comparison.magnitude
        else -math.inf
    )


def _integers(comparison: Comparison, tolerance: Tolerance, place: str) -> Opinion:
    wrong = comparison.different - comparison.undecided
    if wrong:
        return Opinion(
            Outcome.FAILED,
            f"{wrong} of {comparison.count} elements of {place} are wrong",
            1e7 + wrong,
        )
    share = comparison.undecided / comparison.count
    if share <= tolerance.undecided:
        return Opinion(
            Outcome.PASSED,
            f"{comparison.undecided} undecided elements of {place} differ, as allowed",
            share,
        )
    return Opinion(
        Outcome.INCONCLUSIVE,
        f"{comparison.undecided} of {comparison.count} elements of {place} are undecided: "
        "the model's own evaluations disagree about them",
        share,
    )


def _floats(
    comparison: Comparison, place: str, linear: Callable[[], bool], limit: float, *, fixed: bool
) -> Opinion:
    if comparison.score > limit:
        times = (
            f"{comparison.score / limit:.3g}x"
            if math.isfinite(comparison.score)
            else "infinitely many times"
        )
        return Opinion(
            Outcome.FAILED,
            f"{place} is wrong: error is {times} what is allowed",
            comparison.score / limit,
        )
    if comparison.unsettled:
        text = (
            f"{comparison.unsettled} of {comparison.count} elements of {place} cannot be judged: "
            "the noise around them is not finite"
        )
        return Opinion(Outcome.INCONCLUSIVE, text, comparison.score / limit)
    if not fixed and comparison.error and comparison.noise > worth(comparison) and not linear():
        share = comparison.noise / comparison.magnitude if comparison.magnitude else math.inf
        text = (
            f"{place} is not decidable: "
            f"the model's own evaluations differ by {share:.2g} of its size"
        )
        return Opinion(Outcome.INCONCLUSIVE, text, comparison.score / limit)
    return Opinion(Outcome.PASSED, f"{place} within its allowance", comparison.score / limit)


def worth(comparison: Comparison) -> float:
    """The most noise (rms) that still makes a measurement: half the digits of the dtype."""
    return math.sqrt(eps(comparison.expected.partition("[")[0])) * comparison.magnitude


def allowance(tolerance: Tolerance, *, evaluations: int, fallback: bool) -> dict[str, Any]:
    """Where the allowance came from, for the verdict's evidence."""
    if tolerance.fixed:
        return {"source": "given by the test", "rtol": tolerance.rtol, "atol": tolerance.atol}
    if fallback:
        return {
            "source": "torch.testing's table for the dtype: the model's noise could not be measured"
        }
    return {
        "source": f"noise of {evaluations} evaluations around the float64 oracle",
        "factor": tolerance.factor,
    }
