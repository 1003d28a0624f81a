"""Which dims of a subject's inputs may vary, found by asking the subject."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from pytest_modelport.core import tree
from pytest_modelport.core.tensors import eagerly, fresh, is_tensor
from pytest_modelport.isolation.jobs import Done, run
from pytest_modelport.request.dynamic_shapes import Shapes
from pytest_modelport.search.dims import dims_of
from pytest_modelport.search.domain import stretched

if TYPE_CHECKING:
    from torch import nn

    from pytest_modelport.subject.inputs import Inputs

#: What networks divide sizes by, again and again.
_STEPS = (2, 3, 4, 7, 8, 14, 16, 32)
#: An input and one of its axes.
Axis = tuple[str, int]
Takes = Callable[[Mapping[Axis, int]], bool]


def inferred(module: nn.Module, inputs: Inputs, timeout: float) -> Shapes:
    """A dim for every group of axes that the subject lets grow and shrink.

    Of sizes of 1 only a batch of one may vary (the first axis; a larger sample is exported then):
    others may be there to broadcast.

    The group that holds an input's first axis is called `batch`, others by their first axis:
    `input_ids_1`. An axis that only varies by some number of elements at once is a multiple:
    `4*x_2`.
    """
    axes = [
        (name, axis)
        for (name, axis), size in _sizes(inputs).items()
        if size > 1 or (size == 1 and axis == 0)
    ]
    found: dict[str, dict[int, str]] = {}
    for group in joined(module, inputs, axes, timeout, alike=True):
        name, axis = group[0]
        taken = {dim for dims in found.values() for dim in dims.values()}
        dim = "batch" if axis == 0 and "batch" not in taken else f"{name.replace('.', '_')}_{axis}"
        for member, number in group:
            found.setdefault(member, {})[number] = dim
    fixed = [(name, axis) for name, axis in axes if axis not in found.get(name, {})]
    for (name, axis), step in _multiples(module, inputs, fixed, timeout).items():
        found.setdefault(name, {})[axis] = f"{step}*{name.replace('.', '_')}_{axis}"
    shapes = Shapes(
        {item.name: dict(sorted(found.get(item.name, {}).items())) for item in inputs.tensors}
    )
    _, symbols = dims_of(inputs, shapes)
    return replace(shapes, most={name: symbol.highest for name, symbol in symbols.items()})


def joined(
    module: nn.Module, inputs: Inputs, axes: Sequence[Axis], timeout: float, *, alike: bool = False
) -> list[list[Axis]]:
    """The axes in groups that the subject lets change together, and in no smaller ones; what it
    lets not change is left out.

    alike: axes of equal size at one place in several inputs are one group where the subject takes
    that, whatever else it takes.
    """

    def job() -> list[list[Axis]]:
        with torch.no_grad(), eagerly():
            return _groups(
                axes, _sizes(inputs), lambda sizes: _takes(module, inputs, sizes), alike=alike
            )

    return [
        [(str(name), int(axis)) for name, axis in group]
        for group in _isolated(job, module, timeout)
    ]


def _multiples(
    module: nn.Module, inputs: Inputs, axes: Sequence[Axis], timeout: float
) -> dict[Axis, int]:
    """Those of the axes that the subject lets change by several elements, and the fewest."""

    def job() -> list[tuple[str, int, int]]:
        sizes = _sizes(inputs)
        with torch.no_grad(), eagerly():
            steps = {
                axis: [
                    step
                    for step in _STEPS
                    if sizes[axis] % step == 0
                    and _takes(module, inputs, {axis: sizes[axis] + step})
                ]
                for axis in axes
            }
        return [(*axis, found[0]) for axis, found in steps.items() if found]

    found = _isolated(job, module, timeout) if axes else []
    return {(str(name), int(axis)): int(step) for name, axis, step in found}


def broadcast(
    module: nn.Module, inputs: Inputs, axes: Sequence[Axis], timeout: float
) -> list[Axis]:
    """Those of the axes that the subject takes with a size of 1 while all others stay."""

    def job() -> list[Axis]:
        sizes = _sizes(inputs)
        with torch.no_grad(), eagerly():
            return [axis for axis in axes if sizes[axis] > 1 and _takes(module, inputs, {axis: 1})]

    found = _isolated(job, module, timeout) if axes else []
    return [(str(name), int(axis)) for name, axis in found]


def _isolated(job: Callable[[], list[Any]], module: nn.Module, timeout: float) -> list[Any]:
    """What the job returns; nothing where the subject ends its process."""
    with tempfile.TemporaryDirectory(prefix="modelport-") as folder:
        ending = run(job, timeout=timeout, log=Path(folder, "infer.log"), restore=module)
    return list(ending.value) if isinstance(ending, Done) else []


def _groups(
    axes: Sequence[Axis], sizes: Mapping[Axis, int], takes: Takes, *, alike: bool
) -> list[list[Axis]]:
    groups = _alike(axes, sizes, takes) if alike else []
    left = [axis for axis in axes if not any(axis in group for group in groups)]
    alone = [axis for axis in left if _varies([axis], sizes, takes)]
    groups, left = (
        [*groups, *([axis] for axis in alone)],
        [axis for axis in left if axis not in alone],
    )
    while left:
        first, *others = left
        group = [first, *(other for other in others if sizes[other] == sizes[first])]
        if len(group) > 1 and _varies(group, sizes, takes):
            for other in group[1:]:
                fewer = [axis for axis in group if axis != other]
                group = fewer if _varies(fewer, sizes, takes) else group
            groups.append(group)
        else:
            group = [first]
        left = [axis for axis in left if axis not in group]
    return sorted(groups, key=lambda group: list(axes).index(group[0]))


def _alike(axes: Sequence[Axis], sizes: Mapping[Axis, int], takes: Takes) -> list[list[Axis]]:
    """Axes of equal size at one place in several inputs: one dim, also where the subject would take
    inputs that do not fit.
    """
    places = dict.fromkeys((number, sizes[name, number]) for name, number in axes)
    groups = [[axis for axis in axes if (axis[1], sizes[axis]) == place] for place in places]
    return [group for group in groups if len(group) > 1 and _varies(group, sizes, takes)]


def _varies(group: Iterable[Axis], sizes: Mapping[Axis, int], takes: Takes) -> bool:
    """Whether the subject takes one more and, unless that would leave none, one less."""
    group = list(group)
    steps = (1, -1) if all(sizes[axis] > 1 for axis in group) else (1,)
    return all(takes({axis: sizes[axis] + step for axis in group}) for step in steps)


def _sizes(inputs: Inputs) -> dict[Axis, int]:
    return {
        (item.name, axis): size
        for item in inputs.tensors
        for axis, size in enumerate(item.tensor.shape)
    }


def _takes(module: nn.Module, inputs: Inputs, sizes: Mapping[Axis, int]) -> bool:
    made = iter(
        stretched(
            item.tensor,
            tuple(
                sizes.get((item.name, axis), size) for axis, size in enumerate(item.tensor.shape)
            ),
        )
        for item in inputs.tensors
    )
    sample = fresh(inputs.sample, "cpu")
    args, kwargs = tree.replace((sample.args, dict(sample.kwargs)), is_tensor, lambda _: next(made))
    try:
        module(*args, **kwargs)
    except Exception:  # noqa: BLE001 - whatever the subject raises is its refusal
        return False
    return True


def pasted(shapes: Shapes) -> str:
    """The dims in the form that a test takes."""
    return repr({name: dict(axes) for name, axes in shapes.axes.items() if axes})
