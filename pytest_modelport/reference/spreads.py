"""Operations of one careful kernel whose other evaluations, equally good, are off by an absolute
amount: small beside the values on the way, large beside a tiny result.

A sigmoid is 0.5 + 0.5 tanh(x / 2) elsewhere, a remainder x - floor(x / y) y, a Fourier transform a
sum in another order. What is measured of them is in docs/explanation/methods.md.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from pytest_modelport.request.tolerance import NOISE_FACTOR

#: What a single element may use of its noise: the worst of many, times the factor on it.
_USED = 1.5 * NOISE_FACTOR
#: The most that a remainder may be off, in units of what it is a remainder of.
_OF_STEP = 1e-3
#: In units of the result's last place at 1.
Amount = torch.Tensor | float


@dataclass(frozen=True)
class Spread:
    """How far each element of a result may be off. sign: of every result, 0 where there are both:
    no move takes an element beyond half of itself towards the other one, whose logarithm is none.
    """

    amount: Amount
    sign: int = 0

    def moved(self, result: torch.Tensor, unit: float, draws: torch.Tensor) -> torch.Tensor:
        """The result moved. draws: in [-1, 1), real; unit: what an amount of 1 is."""
        found = result.to(draws.dtype) + draws * unit * self.amount
        if self.sign:
            found = torch.maximum(self.sign * found, self.sign * result / 2) * self.sign
        return torch.where(torch.isfinite(result), found.to(result.dtype), result)


def _softplus(x: torch.Tensor, beta: float = 1.0, threshold: float = 20.0) -> Spread:
    """log(1 + exp(x)) to 2e-6 by OpenVINO, to 1e-7 by others."""
    return Spread(torch.where(x * beta > threshold, 0.0, 4.0 / beta), 1)


def _of_multiple(
    x: torch.Tensor, y: torch.Tensor, whole: Callable[[torch.Tensor], torch.Tensor]
) -> Spread:
    """X less a multiple of y: off by the rounding of that multiple, where it is rounded; but by no
    more than a thousandth of y, since after millions of multiples nothing is left.
    """
    x, y = (
        value if isinstance(value, torch.Tensor) else torch.tensor(value, dtype=torch.float64)
        for value in (x, y)
    )
    dtype = torch.promote_types(x.dtype, y.dtype) if x.dim() and y.dim() else _dtype(x, y)
    times = whole(x.to(dtype) / y.to(dtype))
    multiple = times * y.to(dtype)
    exact = multiple.double() == times.double() * y.to(dtype).double()
    most = _OF_STEP * y.abs().double() / (_USED * torch.finfo(dtype).eps)
    return Spread(torch.where(exact, 0.0, torch.minimum(x.abs().double(), most)))


def _dtype(x: torch.Tensor, y: torch.Tensor) -> torch.dtype:
    """Of the operand that has axes: a number takes its dtype."""
    return x.dtype if x.dim() else y.dtype


def _largest(x: torch.Tensor, dim: int) -> torch.Tensor:
    finite = torch.where(torch.isfinite(x), x, 0).abs().double()
    return finite.amax(dim, keepdim=True) if x.dim() else finite


def _sum_of(*tensors: torch.Tensor) -> torch.Tensor:
    total = torch.zeros((), dtype=torch.float64, device=tensors[0].device)
    for tensor in tensors:
        total = total + torch.where(torch.isfinite(tensor), tensor, 0).abs().double()
    return total


def _lerp(start: torch.Tensor, end: torch.Tensor, weight: Any) -> Spread:
    if not isinstance(weight, torch.Tensor):
        weight = torch.tensor(weight, dtype=torch.float64, device=start.device)
    ends = (weight == 0) | (weight == 1) | (start == end)
    return Spread(torch.where(ends, 0.0, _sum_of(start, end)))


#: By operation, of its own arguments.
_SPREADS: Mapping[str, Callable[..., Spread]] = {
    "sigmoid": lambda *_: Spread(0.5, 1),
    "softplus": _softplus,
    "_log_softmax": lambda *_: Spread(1.0),
    "logsumexp": lambda *_: Spread(1.0),
    "logcumsumexp": lambda x, dim: Spread(1 + _largest(x, dim)),
    "logaddexp": lambda x, y: Spread(1 + _sum_of(x, y)),
    "logaddexp2": lambda x, y: Spread(1 + _sum_of(x, y)),
    "special_xlog1py": lambda x, *_: Spread(_sum_of(torch.as_tensor(x))),
    "remainder": lambda x, y: _of_multiple(x, y, torch.floor),
    "fmod": lambda x, y: _of_multiple(x, y, torch.trunc),
    "lerp": _lerp,
}
#: A Fourier transform's noise for each root of its number of terms, in units of its elements' root
#: mean square. ONNX Runtime's DFT of 12 numbers is off by 1.5e-6 of it (rms), which torch.testing
#: accepts; that of 400 numbers by 3e-5, which it does not, and neither does this.
_FOURIER = 2.0


def _fourier(x: torch.Tensor, dims: Sequence[int], result: torch.Tensor) -> Spread:
    """Of every element, those that are zero by symmetry included: a sum over all terms, whose
    roundings do not cancel as the terms do.
    """
    size = result.abs().double().square().mean(list(dims), keepdim=True).sqrt()
    count = math.prod(max(x.shape[dim], result.shape[dim]) for dim in dims)
    return Spread(_FOURIER * math.sqrt(count) * size)


def spread_of(
    name: str, args: tuple[Any, ...], kwargs: Mapping[str, Any]
) -> Callable[[torch.Tensor], Spread] | None:
    """How far a result of this operation may be off, given the result; None where only its last
    place is open. The operands are looked at now: an operation in place changes them.
    """
    complex_ = any(isinstance(value, torch.Tensor) and value.is_complex() for value in args)
    if kwargs or (complex_ and not name.startswith("_fft")):
        return None
    if name in _SPREADS:
        spread = _SPREADS[name](*args)
        return lambda _: spread
    if name in ("_fft_r2c", "_fft_c2c", "_fft_c2r"):
        x, dims = args[0], args[1]
        return lambda result: _fourier(x, dims, result)
    return None
