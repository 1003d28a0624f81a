"""How a model's name in a library is spelled: `NAME?option=value&flag`."""

from __future__ import annotations

from typing import Any

_WORDS = {"true": True, "false": False, "none": None, "": True}


def parse(text: str) -> tuple[str, dict[str, str]]:
    """The name and its options, as text. A flag is an option without a value."""
    name, _, query = text.partition("?")
    pairs = [part.partition("=") for part in query.split("&") if part]
    return name, {key: value for key, _, value in pairs}


def converted(text: str) -> Any:
    """The value that an option's text means: true, false, none, a number, a list `[1,2]`, or the
    text itself.
    """
    if text.lower() in _WORDS:
        return _WORDS[text.lower()]
    if text.startswith("[") and text.endswith("]"):
        return [converted(part.strip()) for part in text[1:-1].split(",") if part.strip()]
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text
