"""Texts of strangers, made harmless: names in files, messages of runtimes and models, ids of tests.

Nothing in them moves a terminal's cursor, changes its colours or its title, turns the direction of
writing, or is a command to the system that reads the output of a run.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from typing import Any

#: What begins a command to GitHub Actions: `::` at the start of a line, `##[` anywhere.
_COMMAND = re.compile(r"^(\s*):(?=:)|##(?=\[)", re.MULTILINE)


def printable(text: str) -> str:
    """The text with every character that does not print as its escape; line breaks and tabs
    stay.
    """
    if text.isprintable():
        return text
    return "".join(map(_shown, text))


def _shown(character: str) -> str:
    if character.isprintable() or character in "\n\t" or unicodedata.category(character) == "Zs":
        return character
    return character.encode("unicode_escape").decode()


def printable_values(value: Any) -> Any:
    """JSON values with their texts printable, keys of objects included."""
    if isinstance(value, str):
        return printable(value)
    if isinstance(value, Mapping):
        return {printable(str(key)): printable_values(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(map(printable_values, value)) if type(value) in (list, tuple) else value
    return value


def without_commands(text: str) -> str:
    """The text with a space in what would be a command to the system that runs it."""
    return _COMMAND.sub(lambda match: f"{match[0]} ", text)
