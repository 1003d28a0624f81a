"""Names, and typed keys of pytest's stashes. Imports nothing: a run without portable tests pays
nothing.
"""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from pathlib import Path

    from pytest_modelport.cleanroom.workspace import Workspace
    from pytest_modelport.core.route import Route
    from pytest_modelport.core.verdict import Verdict
    from pytest_modelport.plugin.settings import Settings

MARKER = "portable"
FIXTURE = "modelport"
#: What the node ids of models without a test file begin with, where others have the path of a file.
NODE = "portable-model"
#: The attribute of a test report in which an item's verdicts travel, as JSON values, also between
#: xdist's processes.
ATTRIBUTE = "modelport"
SETTINGS: pytest.StashKey[Settings] = pytest.StashKey()
WORKSPACE: pytest.StashKey[Workspace] = pytest.StashKey()
#: How often an item has called the fixture; absent where it has none.
CALLS: pytest.StashKey[int] = pytest.StashKey()
#: How many of those calls have come to their verdicts.
ANSWERED: pytest.StashKey[int] = pytest.StashKey()
VERDICTS: pytest.StashKey[list[Verdict]] = pytest.StashKey()
#: What an item's calls have proven: the place in the release, the route, the artifact's folder,
#: which weights and code.
RELEASED: pytest.StashKey[list[tuple[Path, Route, Path, dict[str, str]]]] = pytest.StashKey()
#: Whether an item has another turn coming, at the end; absent where it has none.
TURN: pytest.StashKey[bool] = pytest.StashKey()
#: The portable items that were collected and not selected, as suite, subject and route, and what
#: was selected and never heard of; in the process that started the run.
DESELECTED: pytest.StashKey[list[list[str]]] = pytest.StashKey()
UNHEARD: pytest.StashKey[list[dict[str, Any]]] = pytest.StashKey()
#: Every verdict of the run, in the process that started it.
ROWS: pytest.StashKey[list[dict[str, Any]]] = pytest.StashKey()


def class_marks(kind: type) -> tuple[str, ...]:
    """The names of a class's marks."""
    marks = getattr(kind, "pytestmark", ())
    several = marks if isinstance(marks, (list, tuple)) else [marks]
    return tuple(mark.name for mark in several if hasattr(mark, "name"))


def might_be_portable(collector: pytest.Collector, kind: type) -> bool:
    """Whether a class is marked, itself or where it stands, or was meant to be."""
    marks = class_marks(kind)
    if MARKER in marks or collector.get_closest_marker(MARKER) is not None:
        return True
    return hasattr(kind, "model") and any(map(nearly_ours, marks))


def nearly_ours(mark: str) -> bool:
    """Whether a mark's name is ours but for a slip."""
    return bool(difflib.get_close_matches(mark, [MARKER], cutoff=0.75))


def is_portable(item: pytest.Item) -> bool:
    """Whether an item is one route of a portable test. A doctest in a marked module is none."""
    marked = item.get_closest_marker(MARKER)
    return marked is not None and (isinstance(item, pytest.Function) or marked in item.own_markers)
