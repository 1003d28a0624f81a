"""Exceptions that may leave Modelport. A bad port is a verdict; these are for bad requests."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

from pytest_modelport.core.plain import printable

#: More known names than this would hide the nearest.
_SHOWN = 24


class ModelportError(Exception):
    """Base of everything Modelport raises on purpose. Its text is printable."""

    def __str__(self) -> str:
        return printable(super().__str__())


class UsageError(ModelportError, ValueError):
    """The request itself cannot be carried out; the message names the value and the fix."""


class BrokenItem(UsageError):
    """A format, runtime, transform, check or library that does not import or does not keep the
    contract. The message is for its author: the item, its package, what is wrong with it.
    """


def unknown(kind: str, value: object, known: Iterable[str]) -> UsageError:
    """The error for a name that is not known: the value, the nearest match, all that is known."""
    choices = list(known)
    near = difflib.get_close_matches(str(value), choices, n=5)
    hint = f"did you mean {near[0]!r}? " if near else ""
    listed = ", ".join(choices) or "none"
    if len(choices) > _SHOWN:
        listed = f"{len(choices)}, such as {', '.join(near or choices[:5])}"
    return UsageError(f"unknown {kind} {value!r}: {hint}known: {listed}")


class Rejected(Exception):
    """The subject raised. Its message is the call's label, its cause what the subject said."""


class CannotJudge(Exception):
    """Raised by a runtime that cannot run on this host at all: the port may be right or wrong."""


class WrongArtifact(Exception):
    """An export that succeeded in making something else than was asked for."""


class CannotTransform(Exception):
    """Raised by a transform with a reason that needs no type's name in front of it."""


class WrongCount(Exception):
    """The port returns more or fewer tensors than the artifact promises."""


class CannotVary(Exception):
    """An export that refused to leave a dim open."""
