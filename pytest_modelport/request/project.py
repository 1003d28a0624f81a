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


def configured(start: Path) -> Mapping[str, Any]:
    """What the project that `start` lies in says of us: `[tool.modelport]`. Raises `UsageError`."""
    return found_table(start)[1]


def found_table(start: Path) -> tuple[Path, dict[str, Any]]:
    files = (folder / "pyproject.toml" for folder in (start, *start.parents))
    file, table = next(
        ((file, table) for file in files if (table := _table(file)) is not None), (start, {})
    )
    for key in table.keys() - set(_KEYS):
        raise unknown(f"key of tool.modelport in {file}", key, _KEYS)
    return file, table


def _table(file: Path) -> dict[str, Any] | None:
    """What a project's file says of us; None when it says nothing."""
    if not file.is_file() or "modelport" not in (text := file.read_text(errors="replace")):
        return None  # whatever else is the matter with it is not ours to say
    try:
        table: dict[str, Any] | None = tomllib.loads(text).get("tool", {}).get("modelport")
    except tomllib.TOMLDecodeError as error:
        raise UsageError(f"{file} is not TOML: {error}") from None
    return table
