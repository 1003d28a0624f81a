"""How much a port may differ: what the user allows, and the factor on the measured noise."""

from __future__ import annotations

import math
from dataclasses import dataclass

from pytest_modelport.core.errors import UsageError

#: A port may lie this many times the noise away from the oracle. docs/explanation/methods.md has
#: the figures behind it.
NOISE_FACTOR = 2.5
#: The defaults of torch.testing.assert_close (documented there), used where the subject's noise
#: cannot be measured.
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

    rtol, atol: as in torch.testing.assert_close, against eager; both or none. undecided: the share
    of integer or bool elements that may differ where the subject's own evaluations disagree.
    rounding: how much further from the oracle the runtime's own arithmetic may lie than a plain one
    (`Runtime.ROUNDING`). fidelity: decibels of signal over error that are enough where the noise
    does not say so: values that are rounded to steps fall to the other side of one now and then.
    """

    rtol: float | None = None
    atol: float | None = None
    undecided: float = 0.0
    rounding: float = 1.0
    sqnr_db: float | None = None

    def __post_init__(self) -> None:
        if (self.rtol is None) != (self.atol is None):
            given, other = ("atol", "rtol") if self.rtol is None else ("rtol", "atol")
            raise UsageError(
                f"{given} without {other}: give both, as torch.testing.assert_close wants them"
            )
        for name in ("rtol", "atol", "undecided"):
            value = getattr(self, name)
            if value is not None and not (
                isinstance(value, (int, float)) and 0 <= value < math.inf
            ):
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
