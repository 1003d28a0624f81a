"""Noise: how far equally good evaluations of the subject lie from the oracle.

Monte Carlo arithmetic (D. S. Parker, "Monte Carlo Arithmetic", UCLA CSD-970002, 1997; as in Verrou
and CADNA): the subject runs in its own precision while every rounded result is moved at random by
about one unit in the last place. What exact arithmetic would not round is left alone, so
comparisons, floors and copies do not flip by themselves. Sums, products and convolutions get their
operands moved by half a unit instead, which draws every rounding inside the kernel afresh, and then
the error of adding in order, as other runtimes do.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_flatten, tree_unflatten

from pytest_modelport.core.tensors import is_inexact
from pytest_modelport.reference import summation
from pytest_modelport.reference.dispatch import (
    Generators,
    all_finite,
    is_arithmetic,
    is_view,
    may_draw,
    mutated,
    operands,
    selected_dim,
    wide,
)
from pytest_modelport.reference.formulas import ADDED_ALIKE, formula
from pytest_modelport.reference.rounding import unrounded_parts
from pytest_modelport.reference.spreads import Spread, spread_of

#: Always rounded: asking float64 whether they are would cost another product.
_CONTRACTIONS = frozenset(
    {"mm", "addmm", "bmm", "baddbmm", "mv", "addmv", "dot", "matmul", "convolution"}
)
#: Sums whose order is the runtime's own business.
_SUMS = frozenset({"aten::sum", "aten::mean"})
#: Give elements as they are, or nothing that has digits: there is nothing to round, and no need to
#: ask float64.
_SELECTIONS = frozenset(
    [
        *(
            "relu",
            "neg",
            "where",
            "masked_fill",
            "eq",
            "ne",
            "lt",
            "le",
            "gt",
            "ge",
            "isnan",
            "isinf",
            "argmax",
            "argmin",
        ),
        *("amax", "amin", "max", "min", "maximum", "minimum", "clamp", "clamp_min", "clamp_max"),
        *("hardtanh", "floor", "ceil", "trunc"),
        *("clone", "cat", "stack", "repeat", "roll", "flip", "constant_pad_nd"),
        *("index", "index_select", "gather", "embedding", "max_pool2d_with_indices"),
    ]
)
#: Documented not to say which of several equal elements comes first.
_TIES = frozenset({"sort", "topk", "kthvalue", "median"})


class MonteCarlo(TorchDispatchMode):
    """While active, the subject computes with randomly rounded arithmetic.

    seed: one seed, one evaluation, always the same. amplitude: size of the moves; 1 is one unit in
    the last place.
    """

    def __init__(self, seed: int, amplitude: float = 1.0) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._seed = seed
        self._amplitude = amplitude
        self._generators: dict[torch.device, torch.Generator] = {}

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        kwargs = kwargs or {}
        flat, spec = tree_flatten((args, kwargs))
        name = func._schema.name.partition("::")[2]
        if name in _TIES:
            return self._without_ties(func, args, kwargs)
        tensors = operands(flat)
        if (
            not is_arithmetic(func, tensors)
            or is_view(func)
            or name.removesuffix("_") in _SELECTIONS
        ):
            return func(*args, **kwargs)
        changed = operands(mutated(func, args, kwargs))
        alone = name.removesuffix("_") if changed else name
        if (steps := formula(alone, tensors, args, kwargs)) is not None:
            with self:  # every step of the formula is an operation of its own
                made = steps(*args, **kwargs)
            return changed[0].copy_(made) if changed else made
        if (spread := spread_of(alone, args, kwargs)) is not None:
            return self._spread(self._rounded(func, args, kwargs, flat, spec), spread)
        if name == "_softmax" and tensors[0].numel():
            return self._shares(func, args, kwargs)
        running = name == "cumsum" and tensors[0].dtype is torch.float32 and not kwargs
        if (
            (running or name in _CONTRACTIONS)
            and not changed
            and all(tensor.numel() for tensor in tensors)
        ):
            again = self._again(func, flat, spec)
            return (
                self._cumulated(func, args, again)
                if running
                else self._contracted(func, args, kwargs, again)
            )
        return self._rounded(func, args, kwargs, flat, spec)

    def _rounded(
        self, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any], flat: list[Any], spec: Any
    ) -> Any:
        """Any other operation: moved where exact arithmetic would have given another result."""
        tensors = operands(flat)
        changes = bool(operands(mutated(func, args, kwargs)))
        before = (
            [value.clone() if is_inexact(value) else value for value in flat] if changes else flat
        )
        generators = Generators(tensors) if may_draw(func) else None
        result = func(*args, **kwargs)
        if generators is not None and (changes or generators.drawn()):
            return result
        outputs = operands(tree_flatten(result)[0])
        if func._schema.name in _SUMS and not changes and outputs and not outputs[0].is_complex():
            spread = summation.of_sum(args, result.dtype, mean=func._schema.name == "aten::mean")
            return (
                result
                if spread is None
                else self._scattered(self._again(func, flat, spec), spread.reshape(result.shape))
            )
        if not changes and torch.Tag.pointwise not in func.tags:
            fixed = unrounded_parts(func, outputs, flat, spec)
            return (
                result if all(bool(mask.all()) for mask in fixed) else self._again(func, flat, spec)
            )
        for some, given in [(outputs, before)] if changes else _pieces(outputs, flat):
            for output, mask in zip(some, unrounded_parts(func, some, given, spec), strict=True):
                if not mask.all():
                    output.copy_(torch.where(mask, output, self._moved(output, 1.0)))
        return result

    def _shares(self, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """A softmax, its operands moved but for the largest of each row, which is taken off all of
        them first: what is equal gets equal shares, however large it is. So does a row that a mask
        of -3e38 hides.
        """
        values, dim = args[:2]
        largest = values == values.amax(dim, keepdim=True)
        moved = torch.where(largest, values, self._moved(values, 0.5))
        result = func(moved, *args[1:], **kwargs)
        whole = (result == 0) | (result == 1) | result.isnan()
        return torch.where(whole, result, self._moved(result, 0.5))

    def _again(self, func: Any, flat: list[Any], spec: Any) -> Any:
        """The operation with its operands moved."""
        args, kwargs = tree_unflatten(
            [self._moved(value, 0.5) if is_inexact(value) else value for value in flat], spec
        )
        return func(*args, **kwargs)

    def _contracted(
        self, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any], again: torch.Tensor
    ) -> torch.Tensor:
        """Each sum of a product as a runtime makes it that adds in order. again: the product, its
        operands moved.
        """
        if again.dtype not in ADDED_ALIKE:
            return again
        return self._scattered(again, summation.of_product(func, args, kwargs, again))

    def _spread(self, result: torch.Tensor, spread: Callable[[torch.Tensor], Spread]) -> Any:
        """Elements moved by an amount that the values on the way had, whatever is left of them."""
        unit = self._amplitude * torch.finfo(result.dtype).eps
        dtype = result.dtype if result.dtype in ADDED_ALIKE else torch.float64
        draws = self._uniform(result, dtype)
        if result.is_complex():
            draws = torch.complex(*(self._uniform(result.real, torch.float64) for _ in "ri"))
        return result.copy_(spread(result).moved(result, unit, draws))

    def _cumulated(self, func: Any, args: tuple[Any, ...], again: torch.Tensor) -> torch.Tensor:
        """Running sums, each with the roundings of all before it: in order is the only way to make
        them in one pass.
        """
        terms, dim = args
        sums = terms.double().cumsum(dim)
        if bool(((sums.float() == sums) | sums.isnan()).all()):
            result: torch.Tensor = func(terms, dim)
            return result
        return self._scattered(again, (summation.BINADE * sums.square()).cumsum(dim).sqrt())

    def _scattered(self, sums: torch.Tensor, spread: torch.Tensor) -> torch.Tensor:
        """Sums moved by a rounding of at most half a unit of each partial sum. spread: root of the
        sum of their squares.
        """
        unit = self._amplitude * torch.finfo(sums.dtype).eps / 2 / math.sqrt(3)
        dtype = sums.dtype if sums.dtype in ADDED_ALIKE else torch.float64
        moved = torch.addcmul(
            sums.to(dtype), spread.to(dtype), self._normal(sums, dtype), value=unit
        ).to(sums.dtype)
        return moved if all_finite(moved) else torch.where(moved.isfinite(), moved, sums)

    def _normal(self, like: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
        """Values of variance 1, shaped like `like`: what many roundings add up to, now and then
        four times the usual.
        """
        return torch.empty_like(like, dtype=dtype).normal_(generator=self._generator(like.device))

    def _generator(self, device: torch.device) -> torch.Generator:
        if device not in self._generators:
            self._generators[device] = torch.Generator(device).manual_seed(self._seed)
        return self._generators[device]

    def _uniform(self, like: torch.Tensor, dtype: torch.dtype = torch.float64) -> torch.Tensor:
        """Values in [-1, 1), shaped like `like`; in float64 unless another dtype is asked for."""
        return torch.empty_like(like, dtype=dtype).uniform_(
            -1, 1, generator=self._generator(like.device)
        )

    def _moved(self, tensor: torch.Tensor, units: float) -> torch.Tensor:
        step = units * self._amplitude * torch.finfo(tensor.dtype).eps
        if tensor.is_complex():
            parts = torch.view_as_real(tensor.resolve_conj()).double()
            moved = torch.view_as_complex(parts * (1 + step * self._uniform(parts))).to(
                tensor.dtype
            )
        elif tensor.dtype is torch.float32:
            # Only the last addition decides where the result lies: what the product before it
            # rounds is 2**-24 of the move.
            moved = torch.addcmul(tensor, tensor, self._uniform(tensor, torch.float32), value=step)
        else:
            moved = (tensor.double() * (1 + step * self._uniform(tensor))).to(tensor.dtype)
        # The largest numbers have no neighbour to move to.
        return moved if all_finite(moved) else torch.where(moved.isfinite(), moved, tensor)

    def _without_ties(self, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Select from elements none of which are equal; the original elements are returned."""
        values, rest = args[0], args[1:]
        plain = func(*args, **kwargs)
        if kwargs.get("stable") or isinstance(plain, torch.Tensor) or not values.numel():
            return plain
        wider = values.to(wide(values.dtype) if is_inexact(values) else torch.float64)
        gap = wider.abs() * torch.finfo(torch.float32).eps + torch.finfo(torch.float32).tiny
        indices = func(wider + gap * self._amplitude * self._uniform(wider), *rest, **kwargs)[1]
        dim = selected_dim(func, args, kwargs)
        if indices.dim() == values.dim():
            return values.gather(dim, indices), indices
        return values.gather(dim, indices.unsqueeze(dim)).squeeze(dim), indices


def _pieces(
    outputs: list[torch.Tensor], flat: list[Any]
) -> Iterator[tuple[list[torch.Tensor], list[Any]]]:
    """The result and the arguments of an operation element by element, in pieces that stay in a
    processor's cache.

    In one where they do not lie alike.
    """
    size = outputs[0].numel() if len(outputs) == 1 else 0
    shaped = [value for value in flat if isinstance(value, torch.Tensor) and value.dim()]
    large = size > summation.AT_ONCE
    if not (
        large
        and all(
            value.shape == outputs[0].shape and value.is_contiguous()
            for value in (*outputs, *shaped)
        )
    ):
        yield outputs, flat
        return
    for start in range(0, size, summation.AT_ONCE):
        part = slice(start, start + summation.AT_ONCE)
        given = [
            value.view(-1)[part] if any(value is one for one in shaped) else value for value in flat
        ]
        yield [outputs[0].view(-1)[part]], given
