"""Names, and typed keys of pytest's stashes. Imports nothing: a run without portable tests pays nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from pathlib import Path

    from pytest_modelport.plugin.settings import Settings
    from pytest_modelport.route import Route
    from pytest_modelport.verdict import Verdict
    from pytest_modelport.workspace import Workspace

MARKER = "portable"
FIXTURE = "modelport"
#: What the node ids of models without a test file begin with, where others have the path of a file.
NODE = "portable-model"
#: The attribute of a test report in which an item's verdicts travel, as JSON values, also between xdist's processes.
ATTRIBUTE = "modelport"

SETTINGS: pytest.StashKey[Settings] = pytest.StashKey()
WORKSPACE: pytest.StashKey[Workspace] = pytest.StashKey()
#: How often an item has called the fixture; absent where it has none.
CALLS: pytest.StashKey[int] = pytest.StashKey()
VERDICTS: pytest.StashKey[list[Verdict]] = pytest.StashKey()
#: What an item's calls have proven: the place in the release, the route, the artifact's folder, which weights and code.
RELEASED: pytest.StashKey[list[tuple[Path, Route, Path, dict[str, str]]]] = pytest.StashKey()
#: Whether an item has another turn coming, at the end; absent where it has none.
TURN: pytest.StashKey[bool] = pytest.StashKey()
#: Every verdict of the run, in the process that started it.
ROWS: pytest.StashKey[list[dict[str, Any]]] = pytest.StashKey()


def is_portable(item: pytest.Item) -> bool:
    """Whether an item is one route of a portable test."""
    return item.get_closest_marker(MARKER) is not None
