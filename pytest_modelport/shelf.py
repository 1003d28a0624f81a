"""The shelves: formats, runtimes, transforms, checks. Names are known without importing what they name."""

from __future__ import annotations

import importlib
import importlib.util
import pkgutil
import re
from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, cast

from pytest_modelport.contract import is_live
from pytest_modelport.errors import UsageError, unknown
from pytest_modelport.target import Kind, Target, parse, typed

if TYPE_CHECKING:
    from pytest_modelport.contract import Check, Format, Library, Needy, Runtime, Transform

_ROOT = Path(__file__).parent
SHELVES = ("formats", "runtimes", "transforms", "checks", "libraries")


@cache
def _foreign(shelf: str) -> dict[str, EntryPoint]:
    """Items that other packages offer through the entry point group `pytest_modelport.<shelf>`.

    Asked once: it reads the metadata of everything that is installed.
    """
    return {point.name: point for point in entry_points(group=f"pytest_modelport.{shelf}")}


@cache
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


def transform(name: str) -> Transform:
    """The transform called `name`. Raises `UsageError` with the nearest match."""
    return cast("Transform", _load("transforms", name))


def library(name: str) -> Library:
    """The model library called `name`. Raises `UsageError` with the nearest match."""
    return cast("Library", _load("libraries", name))


def openers(kind: str) -> tuple[str, ...]:
    """The runtimes that open artifacts of this kind."""
    return tuple(name for name in names("runtimes") if kind in runtime(name).OPENS)


def targets() -> tuple[str, ...]:
    """Every canonical target: each format, then the format with each runtime that is not its default."""
    return tuple(
        name if opener == format_(name).RUNTIME else f"{name}:{opener}"
        for name in names("formats")
        for opener in sorted(openers(format_(name).KIND), key=lambda opener, name=name: opener != format_(name).RUNTIME)  # type: ignore[misc]
    )


def target(text: str) -> Target:
    """The target behind a spelling, its runtime and the values of its options filled in. Raises `UsageError`."""
    if not re.fullmatch(r"[\w:(),= @.-]+", text):
        raise unknown("target", text, targets())
    parsed = parse(text)
    plain = parsed.format + (f":{parsed.runtime}" if parsed.runtime else "")
    if parsed.format not in names("formats"):
        raise unknown("target", plain, targets())
    maker = format_(parsed.format)
    if plain not in targets() and parsed.runtime != maker.RUNTIME:
        raise unknown("target", plain, targets())
    named = parsed.runtime or maker.RUNTIME
    found = replace(parsed, runtime=named, environment=parsed.environment or home(runtime(named)))
    if found.environment and is_live(runtime(found.runtime)):
        raise UsageError(f"target {text!r}: {found.runtime} runs with the subject's own code, so only in the session")
    return typed(found, {**options(maker), **options(runtime(found.runtime))})


def home(item: object) -> str:
    """The environment that a format is converted in, or a runtime opens in, unless told otherwise; empty for the session's."""
    return str(getattr(item, "ENVIRONMENT", ""))


def options(item: object) -> Mapping[str, Kind]:
    """What a route may ask of a format or runtime."""
    return getattr(item, "OPTIONS", {})


def canonical(text: str) -> str:
    """The one spelling of a target (`onnx:onnxruntime` is `onnx`). Raises `UsageError` when it is unknown."""
    found = target(text)
    if found.environment == home(runtime(found.runtime)):
        found = replace(found, environment="")
    return str(replace(found, runtime="") if found.runtime == format_(found.format).RUNTIME else found)


def missing(requires: Mapping[str, str]) -> tuple[str, ...]:
    """The requirements (`REQUIRES`: import name -> requirement) whose package is not installed. Imports nothing."""
    return tuple(requirement for module, requirement in requires.items() if not _there(module))


def _there(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except ModuleNotFoundError:  # the package around it
        return False


def lacking(*items: Needy) -> tuple[str, str]:
    """The requirements of these that are not installed, in words, and the command that installs them; empty when all are."""
    absent = {requirement: item for item in items for requirement in missing(item.REQUIRES)}
    if not absent:
        return "", ""
    extras = [extra for extra in dict.fromkeys(item.EXTRA for item in absent.values()) if extra]
    wanted = f"'pytest-modelport[{','.join(extras)}]'" if extras else " ".join(map(repr, absent))
    return ", ".join(absent), f"pip install {wanted}"
