"""A target's spelling: `onnx`, `onnx:reference`, `onnx(opset=20)@production`. Knows no format: the
registry checks the names.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from pytest_modelport.core.errors import UsageError, unknown

_GRAMMAR = re.compile(
    r"(?P<format>\w+)(?:\((?P<options>[^()]*)\))?(?::(?P<runtime>\w+))?(?:@(?P<environment>[\w.-]+))?"
)
#: What an option may be: `int`, `float`, `bool`, or one of these words.
Kind = type | tuple[str, ...]


@dataclass(frozen=True)
class Target:
    """A format, a runtime, and what is asked of the two. runtime: empty where the spelling names
    none.

    environment: the installation that opens the artifact; empty for the session's own.
    """

    format: str
    runtime: str = ""
    options: tuple[tuple[str, Any], ...] = ()
    environment: str = ""

    def __str__(self) -> str:
        options = ",".join(f"{key}={spelled(value)}" for key, value in self.options)
        ends = f":{self.runtime}" * bool(self.runtime) + f"@{self.environment}" * bool(
            self.environment
        )
        return self.format + f"({options})" * bool(options) + ends


def parse(text: str) -> Target:
    """A target's parts, its options still text. Raises `UsageError` when it is not spelled like
    one.
    """
    match = _GRAMMAR.fullmatch(text.strip())
    if match is None:
        raise UsageError(
            f"target {text!r} is not spelled "
            "FORMAT, FORMAT(OPTION=VALUE,...), FORMAT:RUNTIME or FORMAT@ENVIRONMENT"
        )
    return Target(
        match["format"],
        match["runtime"] or "",
        _pairs(match["options"]),
        match["environment"] or "",
    )


def named(text: str) -> tuple[str, tuple[tuple[str, str], ...]]:
    """A transform's name and its options, still text. Raises `UsageError` when it is not spelled
    like one.
    """
    match = _GRAMMAR.fullmatch(text.strip())
    if match is None or match["runtime"] or match["environment"]:
        raise UsageError(
            f"transform {text!r} is not spelled NAME or NAME(OPTION=VALUE,...), "
            "with | between several"
        )
    return match["format"], _pairs(match["options"])


def _pairs(text: str | None) -> tuple[tuple[str, str], ...]:
    pairs = [part.partition("=") for part in (text or "").split(",") if part.strip()]
    return tuple((key.strip(), value.strip()) for key, _, value in pairs)


def typed(target: Target, known: Mapping[str, Kind]) -> Target:
    """The target with its options' values, in alphabetical order. Raises `UsageError` for those
    that are not known.
    """
    return replace(target, options=valued(target.format, target.options, known))


def valued(
    name: str, pairs: Iterable[tuple[str, str]], known: Mapping[str, Kind]
) -> tuple[tuple[str, Any], ...]:
    """Options with their values, in alphabetical order. Raises `UsageError` for those that are not
    known.
    """
    options: dict[str, Any] = {}
    for key, text in pairs:
        if key not in known:
            raise unknown(f"option of {name}", key, sorted(known))
        if key in options:
            raise UsageError(f"option {key} of {name} is given twice")
        options[key] = _value(f"option {key} of {name}", text, known[key])
    return tuple(sorted(options.items()))


def _value(what: str, text: str, kind: Kind) -> Any:
    if isinstance(kind, tuple):
        if text not in kind:
            raise unknown(what, text, kind)
        return text
    if kind is bool:
        if text not in ("true", "false"):
            raise unknown(what, text, ("true", "false"))
        return text == "true"
    if kind is float:
        return _number(what, text)
    if not text.isdigit():
        raise UsageError(f"{what} is {text!r}: give a whole number")
    return int(text)


def _number(what: str, text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise UsageError(f"{what} is {text!r}: give a number")
    return value


def spelled(value: Any) -> str:
    """An option's value as it is written."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def listed(text: str) -> list[str]:
    """The targets in a comma separated list; commas between parentheses belong to a target."""
    return [part.strip() for part in re.split(r",(?![^()]*\))", text) if part.strip()]
