"""What the project says of Modelport in its pyproject.toml: `[tool.modelport]`."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pytest_modelport.core.errors import UsageError, unknown

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

#: The tables under `[tool.modelport]`.
_KEYS = ("environments", "gate")


def gate_policy(start: Path) -> Mapping[str, Any] | None:
    """The nearest `[tool.modelport.gate]` from `start` upwards; None where there is none. A nearer
    file that says other things of us does not hide it. Raises `UsageError`.
    """
    for folder in (start, *start.parents):
        table = _table(folder / "pyproject.toml")
        if table is not None and "gate" in _checked(folder / "pyproject.toml", table):
            gate: Mapping[str, Any] = table["gate"]
            if not isinstance(gate, Mapping):
                raise UsageError(
                    f"tool.modelport.gate in {folder / 'pyproject.toml'} is {gate!r}: give a table"
                )
            return gate
    return None


def found_table(start: Path) -> tuple[Path, dict[str, Any]]:
    """What the project that `start` lies in says of us, `[tool.modelport]`, and its file. Raises
    `UsageError`.
    """
    files = (folder / "pyproject.toml" for folder in (start, *start.parents))
    file, table = next(
        ((file, table) for file in files if (table := _table(file)) is not None), (start, {})
    )
    return file, _checked(file, table)


def _checked(file: Path, table: dict[str, Any]) -> dict[str, Any]:
    if not isinstance(table, dict):
        raise UsageError(f"tool.modelport in {file} is {table!r}: give a table")
    for key in table.keys() - set(_KEYS):
        raise unknown(f"key of tool.modelport in {file}", key, _KEYS)
    return table


def _table(file: Path) -> dict[str, Any] | None:
    """What a project's file says of us; None when it says nothing."""
    if not file.is_file() or "modelport" not in (text := file.read_text(errors="replace")):
        return None  # whatever else is the matter with it is not ours to say
    try:
        tool = tomllib.loads(text).get("tool")
    except tomllib.TOMLDecodeError as error:
        raise UsageError(f"{file} is not TOML: {error}") from None
    table: dict[str, Any] | None = tool.get("modelport") if isinstance(tool, dict) else None
    return table
