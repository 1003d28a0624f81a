"""Portable classes: a class marked `portable` whose members say what is to be proven.

    @pytest.mark.portable(targets=["onnx"])
    class TestClassifier:
        def model(self): ...
        def args(self): ...

Any of the fixture's arguments can be a member: a method, which may take no fixtures, or a plain
value. `calibrate`, `finetune` and `metric` may also be the method itself, taking the model. No base
class is needed. The method `model` is also how another instance is made, where a target needs one.

A class that would prove nothing, or something else than it says, is a collection error.
"""

from __future__ import annotations

import difflib
import inspect
import unittest
from collections.abc import Iterable, Mapping
from typing import Any

import pytest

from pytest_modelport.core.errors import UsageError
from pytest_modelport.plugin.fixture import Modelport
from pytest_modelport.plugin.marker import BUDGETS, KEYWORDS
from pytest_modelport.plugin.stash import FIXTURE, MARKER, class_marks, nearly_ours

#: Members that are handed to the fixture, beside `model`: the parameters of its call.
MEMBERS = tuple(inspect.signature(Modelport.__call__).parameters)[2:]
#: Those whose value is a function: a method that takes the model is that function.
_HOOKS = ("calibrate", "finetune", "metric")
#: Keywords of the marker that are no members.
_MARKER_ONLY = tuple(name for name in KEYWORDS if name not in MEMBERS)


def complete(collector: Any, name: str, kind: type) -> None:
    """Give a marked class its test, unless it has tests of its own.

    Raises `UsageError` for a class that yields no test, or whose members would be ignored.
    """
    marks = class_marks(kind)
    if MARKER not in marks:
        _check_marks(collector, name, marks)
        if collector.get_closest_marker(MARKER) is None or not collector.istestclass(kind, name):
            return
    if issubclass(kind, unittest.TestCase):
        raise UsageError(
            f"{name} is a unittest.TestCase, which cannot be asked once for every route: "
            f"write a plain class, or functions that take the argument {FIXTURE!r}"
        )
    tests = _tests(collector, kind)
    if not tests and hasattr(kind, "model"):
        _check_members(name, kind)
        kind.test_port = _test_port  # type: ignore[attr-defined]
    elif tests:
        _check_budgets(name, kind)
    elif not kind.__subclasses__():
        close = _meant(_public(kind), ("model",))
        hint = f" ({close} is there: is model meant?)" if close else ""
        raise UsageError(f"{name} is marked {MARKER} and has neither a test nor model(){hint}")
    _check_collected(collector, name, kind)


def _check_marks(collector: pytest.Collector, name: str, marks: Iterable[str]) -> None:
    """Raises `UsageError` for a mark that is nearly ours, and nobody's."""
    lines: list[str] = collector.config.getini("markers")
    registered = {line.partition(":")[0].partition("(")[0] for line in lines}
    for mark in marks:
        if mark not in registered and nearly_ours(mark):
            raise UsageError(f"{name} has the mark {mark!r}: is {MARKER!r} meant?")


def _tests(collector: Any, kind: type) -> list[str]:
    """The names of a class's own tests, nested classes included, as pytest will find them."""
    found = []
    for name in _public(kind):
        member = inspect.getattr_static(kind, name)
        member = getattr(member, "__func__", member)
        if member is _test_port:
            continue
        nested = isinstance(member, type) and collector.istestclass(member, name)
        if nested or (callable(member) and collector.istestfunction(member, name)):
            found.append(name)
    return found


def _public(kind: type) -> list[str]:
    return [name for name in dir(kind) if not name.startswith("_")]


def _check_collected(collector: Any, name: str, kind: type) -> None:
    """Raises `UsageError` for a class that pytest passes over."""
    if (
        kind.__subclasses__()
        or inspect.isabstract(kind)
        or getattr(kind, "__test__", True) is False
    ):
        return  # a base, or left out on purpose
    if kind.__module__ != getattr(collector.obj, "__module__", collector.obj.__name__):
        return  # imported from where it is collected
    if not collector.istestclass(kind, name):
        patterns = " ".join(collector.config.getini("python_classes"))
        raise UsageError(
            f"{name} is marked {MARKER} and pytest does not collect it: "
            f"give it a name as python_classes says ({patterns})"
        )
    own = [
        name for name in ("__init__", "__new__") if getattr(kind, name) is not getattr(object, name)
    ]
    if own:
        raise UsageError(
            f"{name} is marked {MARKER} and pytest does not collect it: "
            f"it has an {own[0]}, which test classes may not have"
        )


def _check_members(name: str, kind: type) -> None:
    """Raises `UsageError` for members that would be ignored, or cannot be had."""
    for member in _public(kind):
        if member in _MARKER_ONLY:
            raise UsageError(f"{name}.{member} is a keyword of the marker: {MARKER}({member}=...)")
        if member in ("model", *MEMBERS):
            _check_method(name, member, inspect.getattr_static(kind, member))
        elif close := _meant([member], ("model", *MEMBERS)):
            known = _nearest(close, ("model", *MEMBERS))
            raise UsageError(
                f"{name}.{member} is no argument of modelport: did you mean {known!r}? "
                f"Anything else begins with an underscore: _{member}"
            )


def _check_method(name: str, member: str, value: Any) -> None:
    """Raises `UsageError` for a method that would need arguments."""
    if type(value).__name__.startswith("FixtureFunction"):
        raise UsageError(f"{name}.{member} is a fixture: make it a method or a plain value")
    bound = not isinstance(value, staticmethod)
    function = getattr(value, "__func__", value)
    if not inspect.isfunction(function):
        return
    needed = _needed(function)[1 if bound else 0 :]
    if len(needed) > (1 if member in _HOOKS else 0):
        raise UsageError(
            f"{name}.{member} takes {', '.join(needed)}: a member may take no fixtures; "
            "write a test function for a model that needs them"
        )


def _needed(function: Any) -> list[str]:
    """The parameters that a call must give."""
    positional = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    parameters = inspect.signature(function).parameters.values()
    return [
        item.name
        for item in parameters
        if item.default is item.empty and item.kind in (*positional, item.KEYWORD_ONLY)
    ]


def _check_budgets(name: str, kind: type) -> None:
    """Raises `UsageError` for budgets of a class whose own tests would not hand them over."""
    for member in BUDGETS:
        if isinstance(getattr(kind, member, None), Mapping):
            raise UsageError(
                f"{name}.{member} is ignored, for {name} has tests of its own: "
                f"write {MARKER}({member}=...), or give it to modelport(...)"
            )


def _meant(names: Iterable[str], known: Iterable[str]) -> str:
    """The first name that is nearly a known one, and none of them; empty where there is none."""
    known = tuple(known)
    return next((name for name in names if name not in known and _nearest(name, known)), "")


def _nearest(name: str, known: Iterable[str]) -> str:
    """The known name that is one letter off, or written in another way; empty where none is."""
    known = tuple(known)
    plain = name.replace("_", "").lower()
    for other in known:
        if _one_letter_off(plain, other.replace("_", "").lower()):
            return other
    return next(iter(difflib.get_close_matches(name, known, n=1, cutoff=0.88)), "")


def _one_letter_off(one: str, two: str) -> bool:
    """Whether the two are equal but for a letter more, less, another one, or two in the other
    order.
    """
    at = next((i for i, (a, b) in enumerate(zip(one, two, strict=False)) if a != b), None)
    if at is None:
        return abs(len(one) - len(two)) <= 1
    swapped = one[at : at + 2] == two[at : at + 2][::-1] and one[at + 2 :] == two[at + 2 :]
    tails = {(at + 1, at + 1), (at, at + 1), (at + 1, at)}
    return swapped or any(one[i:] == two[j:] for i, j in tails)


def _test_port(self: Any, modelport: Modelport) -> None:
    values = {name: _value(self, name) for name in MEMBERS if hasattr(self, name)}
    modelport(self.model, **values)


#: Collected whatever pattern `python_functions` says.
_test_port.__test__ = True  # type: ignore[attr-defined]


def _value(instance: Any, name: str) -> Any:
    """A member's value: what a method returns, or the member itself; a hook that takes the model is
    the hook.
    """
    member = getattr(instance, name)
    if not inspect.isroutine(member) or (name in _HOOKS and _needed(member)):
        return member
    return member()
