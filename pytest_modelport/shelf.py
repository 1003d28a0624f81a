"""The shelves: formats, runtimes, transforms, checks. Names are known without importing what they name."""

from __future__ import annotations

import importlib
import importlib.util
import pkgutil
from collections.abc import Mapping
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, cast

from pytest_modelport.errors import unknown

if TYPE_CHECKING:
    from pytest_modelport.contract import Check, Format, Runtime

_ROOT = Path(__file__).parent
SHELVES = ("formats", "runtimes", "transforms", "checks")


def _foreign(shelf: str) -> dict[str, EntryPoint]:
    """Items that other packages offer through the entry point group `pytest_modelport.<shelf>`."""
    return {point.name: point for point in entry_points(group=f"pytest_modelport.{shelf}")}


def names(shelf: str) -> tuple[str, ...]:
    """What is on a shelf: the files in its folder, then other packages' entry points."""
    own = sorted(module.name for module in pkgutil.iter_modules([str(_ROOT / shelf)]))
    return (*own, *sorted(name for name in _foreign(shelf) if name not in own))


def _load(shelf: str, name: str) -> ModuleType:
    if name not in names(shelf):
        raise unknown(shelf.removesuffix("s"), name, names(shelf))
    if (_ROOT / shelf / f"{name}.py").exists():
        return importlib.import_module(f"pytest_modelport.{shelf}.{name}")
    return cast("ModuleType", _foreign(shelf)[name].load())


def format_(name: str) -> Format:
    """The format called `name`. Raises `UsageError` with the nearest match."""
    return cast("Format", _load("formats", name))


def runtime(name: str) -> Runtime:
    """The runtime called `name`. Raises `UsageError` with the nearest match."""
    return cast("Runtime", _load("runtimes", name))


def check(name: str) -> Check:
    """The check called `name`. Raises `UsageError` with the nearest match."""
    return cast("Check", _load("checks", name))


def transform(name: str) -> ModuleType:
    """The transform called `name`. Raises `UsageError` with the nearest match."""
    return _load("transforms", name)


def openers(kind: str) -> tuple[str, ...]:
    """The runtimes that open artifacts of this kind."""
    return tuple(name for name in names("runtimes") if kind == runtime(name).OPENS)


def targets() -> tuple[str, ...]:
    """Every canonical target: each format, then the format with each runtime that is not its default."""
    return tuple(
        name if opener == format_(name).RUNTIME else f"{name}:{opener}"
        for name in names("formats")
        for opener in sorted(openers(format_(name).KIND), key=lambda opener, name=name: opener != format_(name).RUNTIME)  # type: ignore[misc]
    )


def canonical(target: str) -> str:
    """The one spelling of a target (`onnx:onnxruntime` is `onnx`). Raises `UsageError` when it is unknown."""
    name, _, opener = target.partition(":")
    if name in names("formats") and opener == format_(name).RUNTIME:
        return name
    if target not in targets():
        raise unknown("target", target, targets())
    return target


def split(target: str) -> tuple[str, str]:
    """A canonical target's format and runtime."""
    name, _, opener = target.partition(":")
    return name, opener or format_(name).RUNTIME


def missing(requires: Mapping[str, str]) -> tuple[str, ...]:
    """The requirements (`REQUIRES`: import name -> requirement) whose package is not installed. Imports nothing."""
    return tuple(requirement for module, requirement in requires.items() if importlib.util.find_spec(module) is None)
