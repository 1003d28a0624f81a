"""Portable classes: a class marked `portable` whose members say what is to be proven.

    @pytest.mark.portable(targets=["onnx"])
    class TestClassifier:
        def model(self): ...
        def args(self): ...

Any of the fixture's arguments can be a member: a method, which may take no fixtures, or a plain value. No base class is needed.
The method `model` is also how another instance is made, where a target needs one.
"""

from __future__ import annotations

from typing import Any

from pytest_modelport.plugin.fixture import Modelport

#: Members that are handed to the fixture, beside `model`.
MEMBERS = (
    "args",
    "kwargs",
    "samples",
    "dynamic_shapes",
    "artifact",
    "rtol",
    "atol",
    "undecided",
    "threads",
    "timeout",
    "imports",
    "examples",
    "domain",
    "domains",
)


def complete(kind: type) -> None:
    """Give the class its test, unless it has tests of its own."""
    if not any(name.startswith("test") for name in dir(kind)):
        kind.test_port = _test_port  # type: ignore[attr-defined]


def _test_port(self: Any, modelport: Modelport) -> None:
    given = {name: _value(self, name) for name in MEMBERS if hasattr(self, name)}
    modelport(self.model, **given)


def _value(instance: Any, name: str) -> Any:
    """A member's value: what a method returns, or the member itself."""
    member = getattr(instance, name)
    return member() if getattr(member, "__self__", None) is instance else member
