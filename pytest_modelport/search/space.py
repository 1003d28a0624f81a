"""The samples that a declaration allows: dims by symbol, values by domain. One sample is one
recipe.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from pytest_modelport.core import tree
from pytest_modelport.core.errors import UsageError, unknown
from pytest_modelport.core.sample import Sample
from pytest_modelport.core.tensors import is_tensor
from pytest_modelport.request.dynamic_shapes import Shapes
from pytest_modelport.request.recipes import Recipe
from pytest_modelport.request.search_options import SearchOptions
from pytest_modelport.search.dims import Axis, Symbol, dims_of
from pytest_modelport.search.domain import SPECIALS, Domain, domain_of, stretched, tensor_of
from pytest_modelport.search.layouts import laid_as, laid_out, layouts
from pytest_modelport.subject.inputs import Inputs

#: An axis that is 1 while others of its dim are not.
_ALONE = "1 at axis {}"


@dataclass(frozen=True)
class Space:
    """Everything a recipe may say about one subject's inputs.

    factors: what may vary, each with its options; the first is what the sample has.
    """

    inputs: Inputs
    axes: Mapping[str, Mapping[int, Axis]]
    symbols: Mapping[str, Symbol]
    domains: Mapping[str, Domain]
    factors: Mapping[str, tuple[int | str, ...]]

    @property
    def ranges(self) -> dict[str, tuple[int, int]]:
        """The smallest and the largest size of each dim."""
        return {
            name: (symbol.lowest, symbol.highest)
            for name, symbol in self.symbols.items()
            if name in self.factors
        }

    def build(self, recipe: Recipe) -> Sample:
        """The sample that a recipe describes. Raises `UsageError` for a recipe that is none of this
        subject's.
        """
        for key, value in recipe.items():
            self._check(key, value)
        tensors = iter(
            [self._tensor(item.name, item.tensor, recipe) for item in self.inputs.tensors]
        )
        args, kwargs = tree.replace(
            (self.inputs.sample.args, dict(self.inputs.sample.kwargs)),
            is_tensor,
            lambda _: next(tensors),
        )
        return Sample(args, kwargs)

    def _check(self, key: str, value: Any) -> None:
        if key == "seed" or (key in self.symbols and isinstance(value, int) and value >= 0):
            return
        if key not in self.factors:
            raise unknown("factor of a recipe", key, (*self.factors, "seed"))
        rare = self.domains[key.removesuffix(":kind")].rare if key.endswith(":kind") else ()
        if key in self.symbols or value not in (*self.factors[key], *rare):
            raise unknown(f"{key} in a recipe", value, map(str, self.factors[key]))

    def shape(self, name: str, traced: torch.Size, recipe: Recipe) -> tuple[int, ...]:
        """One input's shape."""
        axes, alone = self.axes.get(name, {}), recipe.get(f"{name}:broadcast")

        def size(axis: int, had: int) -> int:
            if axis not in axes or alone == _ALONE.format(axis):
                return had if axis not in axes else 1
            symbol = axes[axis].symbol
            return axes[axis].size(int(recipe.get(symbol, self.symbols[symbol].traced)))

        return tuple(size(axis, had) for axis, had in enumerate(traced))

    def _tensor(self, name: str, sample: torch.Tensor, recipe: Recipe) -> torch.Tensor:
        shape, kind = (
            self.shape(name, sample.shape, recipe),
            str(recipe.get(f"{name}:kind", "sample")),
        )
        rng = np.random.default_rng([int(recipe.get("seed", 0)), zlib.crc32(name.encode())])
        if kind == "sample":
            made = stretched(sample.detach(), shape)
        else:
            made = tensor_of(self.domains[name].draw(kind, shape, rng), sample.dtype)
        special = recipe.get(f"{name}:special")
        if special is not None and made.numel():
            place = np.unravel_index(int(rng.integers(made.numel())), shape)
            made[tuple(map(int, place))] = SPECIALS[str(special)]
        layout = recipe.get(f"{name}:layout", "dense")
        return laid_as(made, sample) if layout == "dense" else laid_out(made, str(layout))

    def label(self, recipe: Recipe) -> str:
        """A recipe in words, for a reader: `batch=1, x zeros`. No two recipes of a search have the
        same.
        """
        words = [f"{key}={value}" for key, value in recipe.items() if key in self.symbols]
        words += [f"{key.partition(':')[0]} {value}" for key, value in recipe.items() if ":" in key]
        words += [f"seed {recipe['seed']}"] if "seed" in recipe and len(words) else []
        return ", ".join(words) or "the sample"


def space_of(
    inputs: Inputs,
    shapes: Shapes,
    search: SearchOptions,
    rows: Mapping[str, int],
    alone: Sequence[tuple[str, int]] = (),
) -> Space:
    """The space of a declaration. rows: of the tables that inputs choose from. alone: inputs and
    axes that may be 1 while others of the same dim are not. Raises `UsageError`.
    """
    axes, symbols = dims_of(inputs, shapes)
    domains = {
        item.name: _domain(item.name, item.tensor, search, rows)
        for item in inputs.tensors
        if not item.tensor.is_complex()
    }
    for name in search.domains:
        if name not in domains:
            raise unknown("input in domains", name, domains)
    factors: dict[str, tuple[int | str, ...]] = {
        name: symbol.sizes for name, symbol in symbols.items()
    }
    for name in dict.fromkeys(name for name, _ in alone):
        factors[f"{name}:broadcast"] = (
            "none",
            *(_ALONE.format(axis) for input_name, axis in alone if input_name == name),
        )
    factors |= {f"{name}:kind": ("sample", *domain.kinds) for name, domain in domains.items()}
    factors |= {
        f"{item.name}:layout": ("dense", *layouts(item.tensor.dim())) for item in inputs.tensors
    }
    factors |= {
        f"{name}:special": ("none", *domain.specials)
        for name, domain in domains.items()
        if domain.specials
    }
    return Space(
        inputs,
        axes,
        symbols,
        domains,
        {key: options for key, options in factors.items() if len(options) > 1},
    )


def _named(kinds: object) -> tuple[str, ...]:
    """The kinds of values that are given by name; none where something else is given."""
    if isinstance(kinds, str):
        return (kinds,)
    if isinstance(kinds, (list, tuple)) and all(isinstance(kind, str) for kind in kinds):
        return tuple(kinds)
    return ()


def _domain(
    name: str, tensor: torch.Tensor, search: SearchOptions, rows: Mapping[str, int]
) -> Domain:
    values = tensor.detach().cpu()
    values = values.double() if values.is_floating_point() else values
    domain = domain_of(values.numpy(), rows=rows.get(name), ieee=search.domain == "ieee")
    if name not in search.domains:
        return domain
    declared = search.domains[name]
    if kinds := _named(declared):
        return domain.narrowed(name, kinds)
    low, high = _bounds(name, declared)
    integers = "mask" if domain.family == "mask" and high <= 1 else "int"
    family = "float" if tensor.is_floating_point() else integers
    return Domain(family, low, high, domain.scale, table=True)


def _bounds(name: str, declared: Any) -> tuple[float, float]:
    if isinstance(declared, tuple) and len(declared) == 2 and declared[0] <= declared[1]:
        return declared
    wanted = "give (lowest, highest) or kinds of values, ['ones', 'prefix']"
    raise UsageError(f"domain of {name!r} is {declared!r}: {wanted}")
