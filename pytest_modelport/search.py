"""The samples that a subject's ports are tried on, those it refuses left out, with what it answers to the others."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode

from pytest_modelport.dims import Shapes
from pytest_modelport.infer import joined
from pytest_modelport.isolate import Done, Ending, Raised, run
from pytest_modelport.plan import plan, tail
from pytest_modelport.recipe import Recipe
from pytest_modelport.reference import Reference
from pytest_modelport.sample import Call
from pytest_modelport.space import Space, space_of
from pytest_modelport.tensors import fresh, without_autocast

if TYPE_CHECKING:
    from pytest_modelport.case import Case
    from pytest_modelport.workspace import Workspace


_SHORT = "shapes: {} of {} samples planned; for the others: pip install 'pytest-modelport[hypothesis]'"


@dataclass(frozen=True)
class Tried:
    """Recipes that the subject answers, each a step of the reference, which is the law alone. refused: how many it does not."""

    space: Space
    recipes: tuple[Recipe, ...]
    reference: Reference | None
    refused: int
    notes: tuple[str, ...] = ()


def tried(workspace: Workspace, case: Case, device: str) -> Tried:
    """The search of one subject, the same for all its routes. Raises `UsageError` and `SubjectFailed`."""

    def make() -> Tried:
        space = space_for(case)
        wanted, notes = _wanted(space, case)
        taken = accepted(workspace, case, space, wanted)
        reference = reference_of(workspace, case, space, taken, device, law_only=True) if taken else None
        return Tried(space, tuple(taken), reference, len(wanted) - len(taken), notes)

    return workspace.once(("tried", case.key, device, repr(case.shapes.axes), repr(case.search)), make)


def _wanted(space: Space, case: Case) -> tuple[list[Recipe], tuple[str, ...]]:
    if case.search.replay is not None:
        space.build(case.search.replay)  # says here what is wrong with it
        return [case.search.replay], ()
    count = case.search.examples
    found = plan(space.factors, count, case.seed)
    if len(found) == count or not space.factors:
        return found, ()
    try:
        return [*found, *tail(space.factors, space.ranges, count - len(found), found)], ()
    except ImportError:
        return found, (_SHORT.format(len(found), count),)


def reference_of(
    workspace: Workspace, case: Case, space: Space, recipes: Sequence[Recipe], device: str, *, law_only: bool = False
) -> Reference:
    """What the subject answers to these. Raises `SubjectFailed`."""
    calls = [Call(space.build(recipe), case.seed, space.label(recipe)) for recipe in recipes]
    scratch = workspace.fresh("shapes")
    return Reference(case.module, calls, device, scratch, timeout=case.timeout, seed=case.seed, law_only=law_only)


def accepted(workspace: Workspace, case: Case, space: Space, recipes: Sequence[Recipe]) -> list[Recipe]:
    """The recipes that the subject answers. One that kills its process is refused like one it raises at."""
    found: list[Recipe] = []
    left, log = list(recipes), workspace.fresh("accepted") / "subject.log"
    done = log.with_name("done")
    while left:
        done.write_text("")
        ending = _asked(case, space, left, log, done)
        answers = [line == "1" for line in done.read_text().split()]
        found += [recipe for recipe, answer in zip(left, answers, strict=False) if answer]
        if isinstance(ending, Done):
            break
        if isinstance(ending, Raised):  # not the subject, whose exceptions are caught: a sample could not be made
            raise RuntimeError(f"a sample cannot be made: {ending.cause.headline}")
        left = left[len(answers) + 1 :]  # the next one ended it
    return found


def _asked(case: Case, space: Space, recipes: Sequence[Recipe], log: Path, done: Path) -> Ending:
    """Run the subject on each recipe in a process of its own, noting what became of each as it goes."""

    def job() -> None:
        with torch.no_grad(), without_autocast(), done.open("a") as file:
            for recipe in recipes:
                sample = fresh(space.build(recipe), "cpu")
                try:
                    case.module(*sample.args, **sample.kwargs)
                except Exception:  # noqa: BLE001 - whatever the subject raises is its refusal
                    file.write("0\n")
                else:
                    file.write("1\n")
                file.flush()

    return run(job, timeout=case.timeout, log=log, restore=case.module)


def space_for(case: Case) -> Space:
    """The space of a case. Raises `UsageError`."""
    return space_of(case.inputs, _tied(case), case.search, _rows(case))


def _tied(case: Case) -> Shapes:
    """The declared dims, with a common name for axes without one that the subject only lets change together."""
    unnamed = [
        (name, axis)
        for name, axes in case.shapes.axes.items()
        for axis, value in axes.items()
        if value is not None and not isinstance(value, (int, str)) and not hasattr(value, "__name__")
    ]
    if len(unnamed) < 2:
        return case.shapes
    axes = {name: dict(found) for name, found in case.shapes.axes.items()}
    for group in joined(case.module, case.inputs, unnamed, case.timeout):
        dim = torch.export.Dim("_".join(map(str, group[0])).replace(".", "_"))
        for name, axis in group:
            axes[name][axis] = dim
    return Shapes(axes)


def _rows(case: Case) -> dict[str, int]:
    """For inputs of whole numbers that choose from tables (`nn.Embedding`): how many rows there are to choose from."""
    integers = {item.name: item.tensor for item in case.inputs.tensors if item.tensor.dtype in (torch.int32, torch.int64)}
    if not integers:
        return {}

    def job() -> dict[str, int]:
        sample = fresh(case.inputs.sample, "cpu")
        tables = _Tables(integers)
        with torch.no_grad(), without_autocast(), tables:
            case.module(*sample.args, **sample.kwargs)
        return tables.rows

    with tempfile.TemporaryDirectory(prefix="modelport-") as folder:
        ending = run(job, timeout=case.timeout, log=Path(folder, "rows.log"), restore=case.module)
    return {name: int(rows) for name, rows in ending.value.items()} if isinstance(ending, Done) else {}


class _Tables(TorchDispatchMode):
    """Notes the tables that are looked up with exactly the numbers of an input."""

    def __init__(self, inputs: dict[str, torch.Tensor]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._inputs, self.rows = inputs, dict[str, int]()

    def __torch_dispatch__(self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None) -> Any:
        if func.overloadpacket is torch.ops.aten.embedding:
            table, indices = args[:2]
            for name, tensor in self._inputs.items():
                if tensor.numel() == indices.numel() and torch.equal(tensor.flatten(), indices.flatten().to(tensor.dtype)):
                    self.rows[name] = min(self.rows.get(name, table.shape[0]), table.shape[0])
        return func(*args, **(kwargs or {}))
