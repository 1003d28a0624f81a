"""A few samples of the user's own shapes with other values: what every port is tried on."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from dataclasses import replace
from typing import TYPE_CHECKING

from pytest_modelport.request.dynamic_shapes import Shapes
from pytest_modelport.request.recipes import Recipe
from pytest_modelport.search.candidates import (
    Candidates,
    branches,
    observed,
    space_for,
    tried,
)
from pytest_modelport.search.domain import Domain
from pytest_modelport.search.plan import together
from pytest_modelport.search.subject_answers import Observation

if TYPE_CHECKING:
    from pytest_modelport.cleanroom.workspace import Workspace
    from pytest_modelport.request.case import Case

#: Variations of one input alone, where the subject refuses other values of all.
_SINGLE = 12
#: Values to look for other branches with, of a subject that looks at values.
_BRANCHES = 12


def variations(workspace: Workspace, case: Case, device: str) -> Candidates:
    """All inputs varied together, or one alone where the subject refuses that. The same for all
    routes. Raises `UsageError` and `SubjectFailed`.
    """
    case = replace(case, shapes=Shapes({}))

    def make() -> Candidates:
        look = observed(workspace, case)
        space = space_for(case, look)
        usual = {name: _kinds(domain, look) for name, domain in space.domains.items()}
        wanted = together({name: kinds for name, kinds in usual.items() if kinds})
        other = branches(space, _BRANCHES) if look.decides else []
        found = tried(workspace, case, space, wanted, other, device, decides=look.decides)
        if not found.refused or len(usual) < 2:
            return found
        more = [*found.recipes, *_single(row for row in wanted if row not in found.recipes)]
        return tried(workspace, case, space, more, other, device, decides=look.decides)

    return workspace.once(("varied", case.key, device, repr(case.search)), make)


def padded(workspace: Workspace, case: Case, device: str) -> Candidates:
    """Every mask as a suffix, padded on the left; the rest as it is. Not among the variations: rows
    that may see nothing are no two runtimes' concern. Raises `UsageError` and `SubjectFailed`.
    """
    case = replace(case, shapes=Shapes({}))

    def make() -> Candidates:
        look = observed(workspace, case)
        space = space_for(case, look)
        masks = [name for name, domain in space.domains.items() if domain.family == "mask"]
        wanted = [Recipe({**{f"{name}:kind": "suffix" for name in masks}, "seed": 1})]
        return tried(workspace, case, space, wanted if masks else [], [], device, decides=False)

    return workspace.once(("padded", case.key, device, repr(case.search)), make)


def _kinds(domain: Domain, look: Observation) -> tuple[str, ...]:
    """The ways to fill an input. Of a subject that looks at values also far ones, for its other
    branches; but no huge numbers, which may be sizes or counts and take for ever.
    """
    if not look.decides:
        return domain.usual
    return (*(kind for kind in domain.usual if kind != "huge"), *domain.rare)


def _single(refused: Iterable[Recipe]) -> list[Recipe]:
    """Each input of these alone."""
    found = (
        Recipe({key: kind, "seed": row["seed"]})
        for row in refused
        for key, kind in row.items()
        if key != "seed"
    )
    return list(itertools.islice(found, _SINGLE))
