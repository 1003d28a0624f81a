"""Elements of which the oracle knows nothing: it is not finite there and the subject is, or it lies
where none of the subject's evaluations come near. They are judged against eager.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from pytest_modelport.reference.expected import Expected, Floats
from pytest_modelport.request.tolerance import NOISE_FACTOR, Tolerance

#: The oracle is not what the subject computes where it lies this many times further from all
#: evaluations than they lie from each other. A kernel's own bias is some ten units in the last
#: place at most.
_BEYOND = 100.0


def blind(expected: Expected, floor: Floats) -> npt.NDArray[np.bool_]:
    """Which elements the oracle says nothing of. floor: the least noise that is assumed."""
    noise = expected.noise
    found: npt.NDArray[np.bool_] = np.isfinite(expected.eager.numpy())
    found &= ~np.isfinite(expected.oracle)
    if noise.squares:
        least = np.where(np.isfinite(noise.least), noise.least, 0.0)
        found |= least > _BEYOND * np.maximum(noise.apart, floor)
    return found | alone(expected, floor)


def alone(expected: Expected, floor: Floats) -> npt.NDArray[np.bool_]:
    """Where all evaluations agree with the oracle and none with eager: what runs beneath them is
    not what the subject runs by itself, as torch has it for some functions of complex numbers.
    """
    noise = expected.noise
    nearest = np.where(np.isfinite(noise.nearest), noise.nearest, 0.0)
    return np.asarray(nearest > _BEYOND * np.maximum(noise.others, floor))


def against_eager(
    expected: Expected,
    port: npt.NDArray[Any],
    mask: npt.NDArray[np.bool_],
    floor: Floats,
    share: float,
) -> tuple[Floats, Floats]:
    """Of those elements: distance from eager, and what is allowed: what the subject's evaluations
    differ by, or torch.testing's table. share: of the noise, for one element.
    """
    wide = np.complex128 if port.dtype.kind == "c" else np.float64
    eager = expected.eager.numpy()[mask].astype(wide)
    rtol, atol = Tolerance().for_dtype(expected.eager.dtype)
    own = np.where(alone(expected, floor), 0.0, expected.noise.apart)[mask]
    allowed = np.maximum(atol + rtol * np.abs(eager), NOISE_FACTOR * share * own)
    return np.abs(port[mask].astype(wide) - eager), allowed
