"""How far sums scatter when other runtimes make them, who add their terms in another order than
torch.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch

from pytest_modelport.reference.dispatch import all_finite

#: In how many lanes a plain sum is added up.
_LANES = 8
#: The same where each rounding has the same sign: lanes are no help then, and some kernels have
#: one.
_LANES_ALIKE = 2
#: How many terms of a product runtimes add in order before they begin anew. With K random terms
#: ONNX Runtime and MKL are off by as much as adding all in order predicts up to K = 512 (ONNX
#: Runtime with few outputs: 1024), and by that over the root of K / 256 to K / 1024 beyond; some
#: products with a vector are added in order to the end (docs/explanation/methods.md). With blocks
#: of 512 a convolution of 1024 terms was called wrong: the path of its sums made single elements
#: seven times as wrong as the rest.
_BLOCK = 1024
#: The mean square of a rounding, in units of that of the largest number with the same exponent: 3 /
#: (8 ln 2).
BINADE = 0.54
#: Terms that are looked at together: few enough to stay in a processor's cache.
AT_ONCE = 1 << 16


def of_product(
    func: Any, args: tuple[Any, ...], kwargs: dict[str, Any], result: torch.Tensor
) -> torch.Tensor:
    """How far each sum of a product scatters, in roundings of variance 1, when it is made as
    runtimes make it: in order, anew for every block of terms, or in a few lanes, whatever is more.

    With K terms of mean m and variance v the squares of the partial sums are j**2 m**2 + j v,
    together K**3 m**2 / 3 + K**2 v / 2. That is K (S / 2 + D / 3) of S, a product of squared
    operands, and D, what the square of the product itself is more than S. Terms that are zero round
    nothing. What is added to a product (a bias) comes last.
    """
    name = func._schema.name.partition("::")[2]
    added, first, second, *rest = args if name in ("addmm", "baddbmm", "addmv") else (None, *args)
    square: Callable[..., torch.Tensor] = torch.matmul
    terms = first.shape[-1]
    if name == "convolution":
        added, rest[0] = rest[0], None
        added = added if added is None else added.reshape(-1, *[1] * (first.dim() - 2))
        terms = second[:, 0].numel() // rest[6] if rest[4] else second[0].numel()
        square = func
    terms = max(terms * min(_density(first), _density(second)), 1.0)
    product = result if added is None else result - added * kwargs.get("beta", 1)
    block = min(terms, _BLOCK)
    blocked = BINADE * (block + terms / block), BINADE * (block**2 / terms + terms / block)
    for dtype in (result.dtype, torch.float64):  # squares leave float32 at 1e19
        squares = square(first.to(dtype).square(), second.to(dtype).square(), *rest).mul_(
            kwargs.get("alpha", 1) ** 2
        )
        drift = product.to(dtype).square().sub_(squares).clamp_min_(0)
        lanes = (
            (squares / 2).add_(drift, alpha=1 / 3).mul_(terms / _LANES) if terms > _BLOCK else None
        )
        spread = drift.mul_(blocked[1] / 3).add_(
            squares, alpha=blocked[0] / 2
        )  # in place: memory costs more than the sum
        if lanes is not None:
            spread = torch.maximum(spread, lanes)
        if all_finite(spread.sqrt_()):
            break
    return spread


def _density(tensor: torch.Tensor) -> float:
    """Share of the elements that are not zero."""
    return float(tensor.count_nonzero()) / tensor.numel()


def of_sum(args: tuple[Any, ...], dtype: torch.dtype, *, mean: bool) -> torch.Tensor | None:
    """How far each sum scatters when it is made in order, in a few lanes, in roundings of variance
    1: torch's own cascade is better than most. None where no sum needs rounding on the way,
    whatever the result is: those of small whole numbers, say.

    Rounding after each addition moves the sum by u/sqrt(3) of the partial sum (u: half a unit in
    the last place, uniform), so the error's variance is u**2/3 times the sum of squared partial
    sums, over the number of lanes. A term that is equal to the one before, to within a unit of the
    partial sum, rounds alike (a flat image, averaged): such errors add up.
    """
    lined = _lined(args)
    rows = max(AT_ONCE // max(lined.shape[-1], 1), 1)
    found, exact = [], True
    for some in lined.split(rows):
        terms = some.double()
        sums = terms.cumsum(-1)
        exact = exact and _exactly(terms, sums, dtype)
        sums = sums.abs_()
        alike = terms.diff(dim=-1, prepend=terms[..., :1]).abs_() <= torch.finfo(dtype).eps * sums
        together = (sums * alike).sum(-1) / _LANES_ALIKE
        found.append(
            (sums.masked_fill_(alike, 0).square_().sum(-1) / _LANES + together.square_()).sqrt_()
        )
    if exact:
        return None
    return torch.cat(found) / (lined.shape[-1] if mean else 1)


def _exactly(terms: torch.Tensor, sums: torch.Tensor, dtype: torch.dtype) -> bool:
    """Whether no partial sum (float64, like the terms) has digits that `dtype` lacks.

    float64 itself: whether each addition gives both of its operands back (Knuth's two-sum).
    """
    if dtype is torch.float64:
        before = sums - terms
        kept = ((sums - before) == terms) & (before[..., 1:] == sums[..., :-1]).all(
            -1, keepdim=True
        )
    else:
        kept = sums.to(dtype).double() == sums
    return bool((kept | sums[..., -1:].isnan()).all())


def _lined(args: tuple[Any, ...]) -> torch.Tensor:
    """The terms of each sum along a last axis, one row for each sum."""
    terms: torch.Tensor = args[0] if args[0].dim() else args[0].reshape(1)
    dims = args[1] if len(args) > 1 and args[1] else range(terms.dim())
    order = [dim % terms.dim() for dim in ([dims] if isinstance(dims, int) else dims)]
    kept = [dim for dim in range(terms.dim()) if dim not in order]
    count = math.prod(terms.shape[dim] for dim in order)
    return terms.permute(*kept, *order).reshape(math.prod(terms.shape[dim] for dim in kept), count)
