"""The samples that a subject's ports are tried on, those it refuses left out, with what it answers
to the others.
"""

from __future__ import annotations

import itertools
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from pytest_modelport.core.sample import Call
from pytest_modelport.isolation.stops import SubjectFailed
from pytest_modelport.reference.reference import Reference
from pytest_modelport.request.dynamic_shapes import Shapes
from pytest_modelport.request.recipes import Recipe
from pytest_modelport.search.infer import Axis, broadcast, joined
from pytest_modelport.search.plan import plan, tail
from pytest_modelport.search.space import Space, space_of
from pytest_modelport.search.subject_answers import Observation, answers_to, observe
from pytest_modelport.subject.inputs import name_inputs

if TYPE_CHECKING:
    from pytest_modelport.cleanroom.workspace import Workspace
    from pytest_modelport.request.case import Case

_SHORT = (
    "shapes: {} of {} samples planned; for the rest: pip install 'pytest-modelport[hypothesis]'"
)
#: So many of the first samples are asked once more after all others, in reverse: what a session
#: remembers shows then.
_AGAIN = 5
#: Further values to look for other branches with, for each sample that is wanted: the subject alone
#: runs them.
_LOOKS, _SEEDS = 4, 3
#: The smallest size that exporters leave open.
_LARGE = 2


@dataclass(frozen=True)
class Candidates:
    """Recipes that the subject answers, and its answers: to each, and to the first ones once more.

    asked: one recipe for each call of the reference. refused: how many it does not answer.
    branches: how many were added because they take it another way through its code. untried: how
    many there was no time for.
    """

    space: Space
    recipes: tuple[Recipe, ...]
    asked: tuple[Recipe, ...]
    reference: Reference | None
    refused: int
    branches: int = 0
    untried: int = 0
    notes: tuple[str, ...] = ()


def again(recipes: Sequence[Recipe]) -> tuple[Recipe, ...]:
    """The recipes, and the first of them in another order; one alone stays alone."""
    return (*recipes, *(recipes[:_AGAIN][::-1] if len(recipes) > 1 else ()))


def candidates(workspace: Workspace, case: Case, device: str) -> Candidates:
    """The search of one subject, the same for all its routes. Raises `UsageError` and
    `SubjectFailed`.
    """

    def make() -> Candidates:
        look = observed(workspace, case)
        space = space_for(case, look)
        wanted, notes = _wanted(space, case)
        further = (
            branches(space, case.search.examples * _LOOKS)
            if look.decides and case.search.replay is None
            else []
        )
        found = tried(
            workspace, case, space, wanted, further, device, decides=look.decides, repeated=True
        )
        return replace(found, notes=(*notes, *found.notes))

    return workspace.once(
        ("tried", case.key, device, repr(case.shapes.axes), repr(case.search)), make
    )


def observed(workspace: Workspace, case: Case) -> Observation:
    """What one call of the subject shows, asked once."""
    return workspace.once(("observed", case.key), lambda: observe(case))


def tried(
    workspace: Workspace,
    case: Case,
    space: Space,
    wanted: Sequence[Recipe],
    further: Sequence[Recipe],
    device: str,
    *,
    decides: bool,
    repeated: bool = False,
) -> Candidates:
    """What the subject answers to those wanted, and to those further ones that take another way
    through its code. decides: it looks at values. repeated: some are asked once more. Raises
    `SubjectFailed`.
    """
    asked = again if repeated else tuple
    if not decides:
        found = _in_one_run(workspace, case, space, wanted, asked(wanted), device)
        if found is not None:
            return found
    said = answers_to(
        case,
        space,
        [*wanted, *further],
        workspace.fresh("accepted"),
        seconds=case.search.seconds,
        lines=bool(further),
    )
    planned = said[: len(wanted)]
    other = [one.recipe for one in said[len(wanted) :] if one.answers and one.lines]
    taken = [*(one.recipe for one in planned if one.answers), *other]
    untried = len(wanted) - len(planned)
    calls = asked(taken)
    reference = (
        reference_of(workspace, case, space, calls, device, eager_only=True) if taken else None
    )
    refused = sum(not one.answers for one in planned)
    return Candidates(space, tuple(taken), calls, reference, refused, len(other), untried)


def _in_one_run(
    workspace: Workspace,
    case: Case,
    space: Space,
    wanted: Sequence[Recipe],
    planned: Sequence[Recipe],
    device: str,
) -> Candidates | None:
    """All samples in one run. It says what is right for those it answers; None where there is no
    such run: the subject dies or hangs, or may remember what it refused. planned: those wanted, and
    some of them again.
    """
    try:
        eager = reference_of(workspace, case, space, planned, device, within=case.search.seconds)
    except SubjectFailed:
        return None
    if len(eager.answered) < eager.asked and eager.changes:
        return None
    begun = min(eager.asked, len(wanted))
    taken = [wanted[number] for number in eager.answered if number < begun]
    asked = tuple(planned[number] for number in eager.answered)
    refused, untried = begun - len(taken), len(wanted) - begun
    return Candidates(
        space, tuple(taken), asked, eager if asked else None, refused, untried=untried
    )


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


def branches(space: Space, count: int) -> list[Recipe]:
    """Values unlike the sample's and each other, for a subject that looks at values: each kind of
    each input, several times.
    """
    kinds = [
        (name, kind)
        for name, domain in space.domains.items()
        for kind in (*domain.rare, *domain.kinds)
    ]
    made = (
        Recipe({f"{name}:kind": kind, "seed": seed})
        for seed in range(1, _SEEDS + 1)
        for name, kind in kinds
    )
    return list(itertools.islice(made, count))


def reference_of(
    workspace: Workspace,
    case: Case,
    space: Space,
    recipes: Sequence[Recipe],
    device: str,
    **options: Any,
) -> Reference:
    """What the subject answers to these. options: `Reference`'s. Raises `SubjectFailed`."""
    calls: list[Call] = []
    for number, recipe in enumerate(recipes):
        label = space.label(recipe) + (" again" if recipe in recipes[:number] else "")
        calls.append(Call(space.build(recipe), case.seed, label))
    scratch = workspace.fresh("shapes")
    return Reference(
        case.module, calls, device, scratch, timeout=case.timeout, seed=case.seed, **options
    )


def built(case: Case, samples: Iterable[Any]) -> Iterable[Any]:
    """The user's further samples, with those that are recipes made. Raises `UsageError`."""
    if not (
        isinstance(samples, (list, tuple)) and any(isinstance(sample, Recipe) for sample in samples)
    ):
        return samples
    space = space_for(case)
    return [space.build(sample) if isinstance(sample, Recipe) else sample for sample in samples]


def enlarged(case: Case) -> Case:
    """The case with a sample to export with in which every dim that varies and is 0 or 1 is 2:
    exporters fix those.

    Unchanged where there is none, where its range has no 2, or where the subject refuses that.
    """
    sizes = {item.name: item.tensor.shape for item in case.inputs.tensors}
    if all(
        sizes[name][axis] >= _LARGE
        for name in case.shapes.axes
        for axis in case.shapes.varying(name)
    ):
        return case
    space = space_for(case)
    small = [
        name for name, symbol in space.symbols.items() if symbol.traced < _LARGE <= symbol.highest
    ]
    recipe = Recipe(dict.fromkeys(small, _LARGE))
    with tempfile.TemporaryDirectory(prefix="modelport-") as folder:
        [found] = answers_to(case, space, [recipe], Path(folder), seconds=case.timeout, lines=False)
    if not (small and found.answers):
        return case
    fixed = ", ".join(f"{name} at {space.symbols[name].traced}" for name in small)
    caution = (
        f"exported with {space.label(recipe)}, the sample repeated: "
        f"an export of the sample itself would fix {fixed}"
    )
    return replace(
        case,
        larger=name_inputs(case.module, space.build(recipe)),
        cautions=(*case.cautions, caution),
    )


def space_for(case: Case, look: Observation | None = None) -> Space:
    """The space of a case. look: what a call of the subject has shown, if there was one. Raises
    `UsageError`.
    """
    shapes, alone = _tied(case)
    return space_of(case.inputs, shapes, case.search, (look or observe(case)).rows, alone)


def _tied(case: Case) -> tuple[Shapes, list[Axis]]:
    """The declared dims, with a common name for axes without one that the subject only lets change
    together.

    Also those of them that may be 1 while the others are not: they broadcast.
    """
    unnamed = [
        (name, axis)
        for name, axes in case.shapes.axes.items()
        for axis, value in axes.items()
        if value is not None
        and not isinstance(value, (int, str))
        and not hasattr(value, "__name__")
    ]
    if len(unnamed) < 2:
        return case.shapes, []
    axes = {name: dict(found) for name, found in case.shapes.axes.items()}
    groups = joined(case.module, case.inputs, unnamed, case.timeout)
    for group in groups:
        dim = torch.export.Dim("_".join(map(str, group[0])).replace(".", "_"))
        for name, axis in group:
            axes[name][axis] = dim
    together = [axis for group in groups if len(group) > 1 for axis in group]
    return Shapes(axes), broadcast(case.module, case.inputs, together, case.timeout)
