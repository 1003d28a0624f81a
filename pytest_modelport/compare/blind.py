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
        nearest = np.where(np.isfinite(noise.least), noise.least, 0.0)
        found |= nearest > _BEYOND * np.maximum(noise.apart, floor)
    return found


def against_eager(
    expected: Expected, port: npt.NDArray[Any], mask: npt.NDArray[np.bool_], share: float
) -> tuple[Floats, Floats, Floats]:
    """Of those elements: distance from eager, eager's size, and what is allowed: what the subject's
    evaluations differ by, or torch.testing's table. share: of the noise, for one element.
    """
    wide = np.complex128 if port.dtype.kind == "c" else np.float64
    eager = expected.eager.numpy()[mask].astype(wide)
    size = np.abs(eager)
    rtol, atol = Tolerance().for_dtype(expected.eager.dtype)
    allowed = np.maximum(atol + rtol * size, NOISE_FACTOR * share * expected.noise.apart[mask])
    return np.abs(port[mask].astype(wide) - eager), size, allowed
