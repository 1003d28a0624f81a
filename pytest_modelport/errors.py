"""Exceptions that may leave Modelport. A bad port is a verdict; these are for bad requests."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class ModelportError(Exception):
    """Base of everything Modelport raises on purpose."""


class UsageError(ModelportError, ValueError):
    """The request itself cannot be carried out; the message names the value and the fix."""


def unknown(kind: str, value: object, known: Iterable[str]) -> UsageError:
    """The error for a name that is not known: the value, the nearest match, all that is known."""
    choices = list(known)
    near = difflib.get_close_matches(str(value), choices, n=1)
    hint = f"did you mean {near[0]!r}? " if near else ""
    return UsageError(f"unknown {kind} {value!r}: {hint}known: {', '.join(choices) or 'none'}")
