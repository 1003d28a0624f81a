"""From measurements to an outcome: how much a port may differ, and where that allowance comes from."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from pytest_modelport.compare import Comparison, eps
from pytest_modelport.errors import UsageError
from pytest_modelport.verdict import Outcome

#: A port may lie this many times the noise away from the oracle. docs/methods.md has the figures behind it.
NOISE_FACTOR = 2.5


#: A sound port of a model whose values are rounded to steps: 40 to 60 were measured, 20 and less of wrong ones.
FIDELITY_DB, _MARGIN_DB = 35.0, 3.0
#: What rounding to steps costs at most, the floor for eight bits: a price due to training excuses no port.
_STEPS_DB = 20.0

#: The defaults of torch.testing.assert_close (documented there), used where the subject's noise cannot be measured.
_TORCH_TESTING = {
    "float16": (1e-3, 1e-5),
    "bfloat16": (1.6e-2, 1e-5),
    "float32": (1.3e-6, 1e-5),
    "float64": (1e-7, 1e-7),
    "complex64": (1.3e-6, 1e-5),
    "complex128": (1e-7, 1e-7),
}


@dataclass(frozen=True)
class Tolerance:
    """What the user allows instead of, or beside, the measured allowance.

    rtol, atol: as in torch.testing.assert_close, against eager; both or none. undecided: the share of integer or bool elements
    that may differ where the subject's own evaluations disagree. rounding: how much further from the oracle the runtime's
    own arithmetic may lie than a plain one (`Runtime.ROUNDING`). fidelity: decibels of signal over error that are enough where
    the noise does not say so: values that are rounded to steps fall to the other side of one now and then.
    """

    rtol: float | None = None
    atol: float | None = None
    undecided: float = 0.0
    rounding: float = 1.0
    fidelity: float | None = None

    def __post_init__(self) -> None:
        if (self.rtol is None) != (self.atol is None):
            given, other = ("atol", "rtol") if self.rtol is None else ("rtol", "atol")
            raise UsageError(f"{given} without {other}: give both, as torch.testing.assert_close wants them")
        for name in ("rtol", "atol", "undecided"):
            value = getattr(self, name)
            if value is not None and not (isinstance(value, (int, float)) and 0 <= value < math.inf):
                raise UsageError(f"{name} is {value!r}: give a number that is not negative")

    @property
    def factor(self) -> float:
        """How many times the noise a port may lie away from the oracle."""
        return NOISE_FACTOR * self.rounding

    @property
    def fixed(self) -> bool:
        """Whether the user's numbers replace the measured allowance."""
        return self.rtol is not None

    def for_dtype(self, dtype: str) -> tuple[float, float]:
        """(rtol, atol): the user's, or torch.testing's for this dtype."""
        if self.rtol is not None and self.atol is not None:
            return self.rtol, self.atol
        return _TORCH_TESTING.get(dtype, _TORCH_TESTING["bfloat16"])


@dataclass(frozen=True)
class Opinion:
    """What one comparison amounts to. rank: worse first, to choose which comparison a verdict is about."""

    outcome: Outcome
    reason: str
    rank: float = 0.0


def judge(
    comparison: Comparison, tolerance: Tolerance, *, fallback: bool = False, linear: Callable[[], bool] = lambda: False
) -> Opinion:
    """The outcome of one comparison.

    fallback: there is no noise to go by, so torch.testing's dtype table is used. linear: asked when the noise is larger than
    the dtype is worth: whether it is ordinary cancellation (it grows in step with the rounding), which is a fair allowance.
    """
    place = f"'{comparison.name}' at {comparison.call}"
    if not comparison.dtype_matches or not comparison.shape_matches:
        what = "shape" if comparison.dtype_matches else "dtype"
        return Opinion(Outcome.FAILED, f"{what} of {place} is {comparison.got}, the subject's is {comparison.expected}", 1e9)
    if comparison.nonfinite:
        return Opinion(Outcome.FAILED, f"NaN/inf pattern of {place} differs in {comparison.nonfinite} elements", 1e8)
    if comparison.different and tolerance.fidelity != -math.inf:
        return _integers(comparison, tolerance, place)
    fixed = fallback or tolerance.fixed
    opinion = _floats(comparison, place, linear, 1.0 if fixed else tolerance.factor, fixed=fixed)
    if opinion.outcome is Outcome.PASSED or tolerance.fidelity is None or fidelity(comparison) < tolerance.fidelity:
        return opinion
    return Opinion(Outcome.PASSED, f"{place} is as near as steps allow: {fidelity(comparison):.0f} dB", opinion.rank)


def within_steps(cost: float | None) -> float:
    """Decibels that two computations of a model with rounded values must agree to.

    cost: what the rounding itself costs, in decibels. Values that fall to the other side of a step here and there are off by as
    much as the rounding is, so agreement cannot be asked to be much better than that.
    """
    return min(FIDELITY_DB, max(math.inf if cost is None else cost, _STEPS_DB) - _MARGIN_DB)


def fidelity(comparison: Comparison) -> float:
    """Signal over error in decibels: 20 log10 of the ratio of their root mean squares."""
    if comparison.error == 0:
        return math.inf
    return 20 * math.log10(comparison.magnitude / comparison.error) if comparison.magnitude else -math.inf


def _integers(comparison: Comparison, tolerance: Tolerance, place: str) -> Opinion:
    wrong = comparison.different - comparison.undecided
    if wrong:
        return Opinion(Outcome.FAILED, f"{wrong} of {comparison.count} elements of {place} are wrong", 1e7 + wrong)
    share = comparison.undecided / comparison.count
    if share <= tolerance.undecided:
        return Opinion(Outcome.PASSED, f"{comparison.undecided} undecided elements of {place} differ, as allowed", share)
    return Opinion(
        Outcome.INCONCLUSIVE,
        f"{comparison.undecided} of {comparison.count} elements of {place} are ties: the subject's evaluations disagree",
        share,
    )


def _floats(comparison: Comparison, place: str, linear: Callable[[], bool], limit: float, *, fixed: bool) -> Opinion:
    if comparison.score > limit:
        times = f"{comparison.score / limit:.3g}x" if math.isfinite(comparison.score) else "infinitely many times"
        return Opinion(Outcome.FAILED, f"{place} is wrong: error is {times} what is allowed", comparison.score / limit)
    if comparison.unsettled:
        text = f"{comparison.unsettled} of {comparison.count} elements of {place} cannot be judged: no finite noise"
        return Opinion(Outcome.INCONCLUSIVE, text, comparison.score / limit)
    if not fixed and comparison.error and comparison.noise > worth(comparison) and not linear():
        share = comparison.noise / comparison.magnitude if comparison.magnitude else math.inf
        text = f"{place} is not decidable: the subject's own evaluations differ by {share:.2g} of its size"
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
        return {"source": "torch.testing's table for the dtype: the subject's noise could not be measured"}
    return {"source": f"noise of {evaluations} evaluations around the float64 oracle", "factor": tolerance.factor}
