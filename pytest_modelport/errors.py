"""Exceptions that may leave Modelport. A bad port is a verdict; these are for bad requests."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

#: More known names than this would hide the nearest.
_SHOWN = 24


class ModelportError(Exception):
    """Base of everything Modelport raises on purpose."""


class UsageError(ModelportError, ValueError):
    """The request itself cannot be carried out; the message names the value and the fix."""


def unknown(kind: str, value: object, known: Iterable[str]) -> UsageError:
    """The error for a name that is not known: the value, the nearest match, all that is known."""
    choices = list(known)
    near = difflib.get_close_matches(str(value), choices, n=5)
    hint = f"did you mean {near[0]!r}? " if near else ""
    said = ", ".join(choices) if len(choices) <= _SHOWN else f"{len(choices)}, such as {', '.join(near or choices[:5])}"
    return UsageError(f"unknown {kind} {value!r}: {hint}known: {said or 'none'}")
