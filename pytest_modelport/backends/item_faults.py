"""Whether an item keeps the contract: what a registry asks of every file before anything uses it.

`contract.py` says in types what an item offers. Here the same is held against the item itself, so
that a package of somebody else's which is wrong is named with what is wrong, instead of failing
later in a place that looks like Modelport or like the exported model.
"""

from __future__ import annotations

import difflib
import inspect
import math
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from pytest_modelport.core.errors import unknown
from pytest_modelport.request.quality_floors import FLOORS

#: Whether a value is right, and in words what a right one is.
Kind = tuple[Callable[[Any], bool], str]


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _is_name(value: Any) -> bool:
    return isinstance(value, str) and bool(value)


def _are_names(value: Any) -> bool:
    return isinstance(value, (tuple, list)) and all(map(_is_name, value))


def _are_some_names(value: Any) -> bool:
    return _are_names(value) and bool(value)


def _are_suffixes(value: Any) -> bool:
    return _are_names(value) and all(suffix.startswith(".") for suffix in value)


def _are_requirements(value: Any) -> bool:
    return (
        isinstance(value, Mapping)
        and _are_names([*value, *value.values()])
        and all(map(_is_requirement, value.values()))
    )


def _is_requirement(text: str) -> bool:
    try:
        from packaging.requirements import InvalidRequirement, Requirement
    except ImportError:  # a clean room of another installation: the session has asked already
        return True
    try:
        Requirement(text)
    except InvalidRequirement:
        return False
    return True


def _are_options(value: Any) -> bool:
    def known(kind: Any) -> bool:
        return kind in (int, float, bool) or (_are_some_names(kind) and isinstance(kind, tuple))

    return isinstance(value, Mapping) and all(
        re.fullmatch(r"[A-Za-z_]\w*", str(name)) and known(kind) for name, kind in value.items()
    )


def _is_factor(value: Any) -> bool:
    return isinstance(value, (int, float)) and math.isfinite(value) and value >= 1


_TEXT: Kind = _is_text, "text"
_NAME: Kind = _is_name, "text that is not empty"
_NAMES: Kind = _are_names, "a tuple of names"
_SOME_NAMES: Kind = _are_some_names, "a tuple of names, at least one"
_FLAG: Kind = (lambda value: isinstance(value, bool)), "True or False"
_REQUIREMENTS: Kind = (
    _are_requirements,
    "a dict of import name to requirement: {'numpy': 'numpy>=1.26'}",
)
_OPTIONS: Kind = _are_options, "a dict of name to int, float, bool or a tuple of words"
_NEEDS: Mapping[str, Kind] = {"REQUIRES": _REQUIREMENTS, "EXTRA": _TEXT}

#: What each group's items must say, by the constant's name.
CONSTANTS: Mapping[str, Mapping[str, Kind]] = {
    "formats": {
        **_NEEDS,
        "DEVICES": _SOME_NAMES,
        "KIND": _NAME,
        "RUNTIME": _NAME,
        "SUFFIXES": (_are_suffixes, "a tuple of file endings: ('.onnx',)"),
        "CALL": ((lambda value: value in ("natural", "named")), "'natural' or 'named'"),
    },
    "runtimes": {**_NEEDS, "DEVICES": _SOME_NAMES, "OPENS": _NAMES},
    "transforms": {**_NEEDS, "ON": _NAME, "FLOOR": _NAME},
    "checks": {"DEFAULT": _FLAG},
    "libraries": {"REQUIRES": _REQUIREMENTS},
}

#: What they may say.
OPTIONAL: Mapping[str, Mapping[str, Kind]] = {
    "formats": {
        "OPTIONS": _OPTIONS,
        "ENVIRONMENT": _TEXT,
        "QUANTIZER": _NAME,
        "PERSISTENT": _FLAG,
        "VIA": _NAME,
        "PROGRAM": _FLAG,
    },
    "runtimes": {
        "OPTIONS": _OPTIONS,
        "ENVIRONMENT": _TEXT,
        "ROUNDING": (_is_factor, "a number of at least 1"),
        "REFEREE": _FLAG,
        "UNOPTIMISED": (
            (lambda value: isinstance(value, Mapping) and _are_names([*value])),
            "options",
        ),
        "PRELOAD": _NAMES,
        "LIVE": _FLAG,
    },
    "transforms": {
        "OPTIONS": _OPTIONS,
        "INPUTS": ((lambda value: value in ("float16", "bfloat16")), "'float16' or 'bfloat16'"),
        "STEPS": _FLAG,
        "TRAINS": _FLAG,
        "TRY": _NAMES,
        "IMPORTS": _NAMES,
    },
    "checks": {"WHEN": _NAME, "ONLY_GREEN": _FLAG},
    "libraries": {"EXTRA": _TEXT},
}

#: The functions that each group's items must have, with the names of their arguments.
FUNCTIONS: Mapping[str, Mapping[str, tuple[str, ...]]] = {
    "formats": {"export": ("request",), "inspect": ("path",), "constants": ("folder", "manifest")},
    "runtimes": {"open": ("folder", "manifest", "session_options")},
    "transforms": {"apply": ("work",)},
    "checks": {"run": ("workbench",)},
    "libraries": {"build": ("name", "options")},
}

#: Those that they may have.
OPTIONAL_FUNCTIONS: Mapping[str, Mapping[str, tuple[str, ...]]] = {
    "formats": {"absent": ("options",), "warm": ()},
    "runtimes": {
        "absent": ("options",),
        "trace": ("folder", "manifest", "session_options", "feeds", "seed"),
    },
    "transforms": {},
    "checks": {},
    "libraries": {},
}


def item_faults(group: str, item: object) -> Iterator[str]:
    """What is wrong with an item of a group: `formats`, `runtimes`, `checks` and so on."""
    yield from constant_faults(group, item)
    yield from function_faults(group, item)


def constant_faults(group: str, item: object) -> Iterator[str]:
    """The constants that are missing or not of the right kind."""
    for name, kind in CONSTANTS[group].items():
        if not hasattr(item, name):
            yield f"{name} is missing{_near(item, name)}; it must be {kind[1]}"
        else:
            yield from _value_faults(name, getattr(item, name), kind)
    for name, kind in OPTIONAL[group].items():
        if hasattr(item, name):
            yield from _value_faults(name, getattr(item, name), kind)
    if group == "transforms" and _is_name(getattr(item, "FLOOR", None)):
        floor = item.FLOOR  # type: ignore[attr-defined]
        if floor not in FLOORS:
            yield f"FLOOR is {floor!r}: {unknown('row of floors', floor, FLOORS)}"


def function_faults(group: str, item: object) -> Iterator[str]:
    """The functions that are missing, or do not take what they are called with."""
    for name, arguments in FUNCTIONS[group].items():
        if not hasattr(item, name):
            yield f"{name}({', '.join(arguments)}) is missing{_near(item, name)}"
        elif name != "constants" or item.constants is not None:  # type: ignore[attr-defined]
            yield from _call_faults(name, getattr(item, name), _arguments(item, name, arguments))
    for name, arguments in OPTIONAL_FUNCTIONS[group].items():
        if hasattr(item, name):
            yield from _call_faults(name, getattr(item, name), arguments)
    elsewhere: Any = getattr(item, "ENVIRONMENT", None)
    if group == "formats" and elsewhere:
        yield from _converter_faults(item)


def _converter_faults(item: object) -> Iterator[str]:
    """`convert` is the contract's where an environment is named, else anything of that name."""
    if not hasattr(item, "convert"):
        yield "convert(folder, manifest) is missing: ENVIRONMENT says that it is converted there"
    else:
        yield from _call_faults("convert", item.convert, ("folder", "manifest"))


def _arguments(item: object, name: str, arguments: tuple[str, ...]) -> tuple[str, ...]:
    """A live runtime is handed the model, too."""
    live = name == "open" and getattr(item, "LIVE", False) is True
    return (*arguments, "subject") if live else arguments


def _value_faults(name: str, value: Any, kind: Kind) -> Iterator[str]:
    right, words = kind
    if not right(value):
        yield f"{name} is {value!r}: it must be {words}"


def _call_faults(name: str, function: Any, arguments: tuple[str, ...]) -> Iterator[str]:
    called = f"{name}({', '.join(arguments)})"
    if not callable(function):
        yield f"{name} is {function!r}: it must be a function, {called}"
        return
    try:
        inspect.signature(function).bind(*arguments)
    except ValueError:  # written in C: only calling it will tell
        return
    except TypeError as error:
        yield f"{name} cannot be called as {called}: {error}"


def _near(item: object, name: str) -> str:
    """What of the item's own is spelled nearly like a missing name."""
    own = [key for key in dir(item) if not key.startswith("__")]
    close = difflib.get_close_matches(name, own, n=1, cutoff=0.75)
    former = {"FLOOR": "PRICE"}.get(name)
    if former in own:
        return f" ({former} is its former name)"
    return f" ({close[0]!r} is there: is it meant?)" if close else ""
