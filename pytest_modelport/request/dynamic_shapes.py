"""`dynamic_shapes` in the forms torch.export takes, brought to one: a spec for each input tensor.

Strings are shorthand: `{0: "batch"}` means `torch.export.Dim.DYNAMIC`, and the name is used where a
format has names for dims; `{2: "4*height"}` means `4 * torch.export.Dim("height")`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from pytest_modelport.core import tree
from pytest_modelport.core.errors import UsageError, unknown

#: One tensor's dims: axis -> string, torch Dim or hint, int or None (static).
Axes = Mapping[int, Any]


@dataclass(frozen=True)
class Shapes:
    """Which axes of which input tensors may vary, by input name. Empty: everything is fixed at the
    sample's shape. most: how large a dim will be, at most, where nobody said so and its name was
    inferred; for what plans its memory by that.
    """

    axes: Mapping[str, Axes]
    most: Mapping[str, int] = field(default_factory=dict)

    @property
    def dynamic(self) -> bool:
        """Whether anything may vary."""
        return any(self.varying(name) for name in self.axes)

    def varying(self, name: str) -> dict[int, str]:
        """The axes of an input that may vary, each with the name of its dim."""
        dims = {
            axis: dim
            for axis, dim in self.axes.get(name, {}).items()
            if dim is not None and not isinstance(dim, int)
        }
        return {
            axis: dim if isinstance(dim, str) else getattr(dim, "__name__", f"{name}_{axis}")
            for axis, dim in dims.items()
        }


def multiple(dim: str) -> tuple[int, str]:
    """A string's factor and name: `4*height` is `(4, "height")`, `batch` is `(1, "batch")`."""
    factor, star, name = dim.partition("*")
    return (int(factor), name.strip()) if star and factor.strip().isdigit() else (1, dim)


def normalise(
    given: Any, inputs: tuple[tuple[str, tree.Path, int], ...], keywords: tuple[str, ...]
) -> Shapes:
    """Bring what the user gave to axes per input.

    given: None, a dict by parameter name, a tuple or list by position, or a bare `{axis: dim}` for
    a single-tensor model. inputs: each tensor's name, its path below `(args, kwargs)` by parameter
    name, and its number of axes. keywords: parameter names in order, for positional forms. Raises
    `UsageError` naming what does not fit.
    """
    if given is None:
        return Shapes({})
    tops = list(dict.fromkeys(path[0] for _, path, _ in inputs))
    by_name = _by_parameter(given, keywords, inputs)
    for name in by_name:
        if name not in keywords and name not in tops:
            raise unknown("input in dynamic_shapes", name, map(str, tops))
    return Shapes(
        {name: _axes(name, _descend(by_name, path, name), rank) for name, path, rank in inputs}
    )


def _by_parameter(
    given: Any, keywords: tuple[str, ...], inputs: tuple[tuple[str, tree.Path, int], ...]
) -> dict[Any, Any]:
    if isinstance(given, (tuple, list)):
        if len(given) > len(keywords):
            raise UsageError(
                f"dynamic_shapes has {len(given)} entries for {len(keywords)} inputs: "
                f"{', '.join(keywords)}"
            )
        return dict(zip(keywords, given, strict=False))
    if not isinstance(given, Mapping):
        raise UsageError(
            f"dynamic_shapes is a {type(given).__name__}: "
            "give a dict by input name or a tuple by position"
        )
    if given and all(isinstance(key, int) for key in given):
        if len(inputs) != 1:
            raise UsageError(
                f"dynamic_shapes {dict(given)} names no input: "
                f"the model has {len(inputs)}, so write {{name: ...}}"
            )
        return {inputs[0][1][0]: given}
    return dict(given)


def _descend(spec: Any, path: tree.Path, name: str) -> Any:
    """Follow a path into a spec that is nested as the inputs are; a None on the way fixes
    everything below it.
    """
    for depth, key in enumerate(path):
        if spec is None:
            return None
        if isinstance(spec, Mapping):
            spec = spec.get(key)
        elif isinstance(spec, (tuple, list)) and isinstance(key, int) and key < len(spec):
            spec = spec[key]
        else:
            place = ".".join(map(str, path[:depth]))
            raise UsageError(f"dynamic_shapes does not nest as input {name!r} does at {place}")
    return spec


def _axes(name: str, spec: Any, rank: int) -> dict[int, Any]:
    if spec is None:
        return {}
    pairs = (
        enumerate(spec)
        if isinstance(spec, (tuple, list))
        else spec.items()
        if isinstance(spec, Mapping)
        else None
    )
    if pairs is None:
        raise UsageError(f"dynamic_shapes of input {name!r} is {spec!r}: give {{axis: dim}}")
    axes = dict(pairs)
    for axis in axes:
        if not isinstance(axis, int) or not -rank <= axis < rank:
            raise UsageError(
                f"dynamic_shapes of input {name!r} names axis {axis!r}: it has {rank} axes"
            )
    return {axis % rank: None if _static(value) else value for axis, value in axes.items()}


def _static(dim: Any) -> bool:
    """Whether this is torch's hint that a dim is fixed."""
    return getattr(getattr(dim, "type", None), "name", "") == "STATIC"
