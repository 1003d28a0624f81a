"""What was asked for, checked and made canonical: routes, checks, artifacts. Imports nothing heavy: it runs at collection."""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from pytest_modelport import shelf
from pytest_modelport.errors import UsageError, unknown
from pytest_modelport.route import Route

Artifacts = str | Path | Mapping[str, str | Path]
DEVICES = ("cpu", "cuda", "mps", "xpu")
NO_TRANSFORM = "none"


def names_of(keyword: str, values: object) -> list[object]:
    """The items of a list keyword. Raises `UsageError` when it is no list or empty."""
    if isinstance(values, (str, bytes)) or not isinstance(values, Iterable):
        raise UsageError(f"{keyword} is {values!r}: give a list of names")
    items = list(values)
    if not items:
        raise UsageError(f"{keyword} is empty: nothing would be proven")
    return items


def device_of(name: object) -> str:
    """A device's name. Raises `UsageError` when torch would not know its kind."""
    if not isinstance(name, str) or re.sub(r":\d+$", "", name) not in DEVICES:
        raise unknown("device", name, DEVICES)
    return name


def transform_of(name: object) -> tuple[str, ...]:
    """A transform as a route's chain; `none` is the empty one. Raises `UsageError` when it is unknown."""
    if name == NO_TRANSFORM:
        return ()
    if name not in shelf.names("transforms"):
        raise unknown("transform", name, (NO_TRANSFORM, *shelf.names("transforms")))
    return (str(name),)


def routes_of(targets: Sequence[str], transforms: Sequence[str], devices: Sequence[str]) -> tuple[Route, ...]:
    """Every combination, canonical and without repetitions. Raises `UsageError` for names that are not known."""
    routes = [
        Route(shelf.canonical(str(target)), device_of(device), transform_of(transform))
        for transform in names_of("transforms", transforms)
        for target in names_of("targets", targets)
        for device in names_of("devices", devices)
    ]
    return tuple(dict.fromkeys(routes))


def checks_of(names: Sequence[str] | None) -> tuple[str, ...] | None:
    """The checks named, without repetitions; None stays None and means the default ones. Raises `UsageError`."""
    if names is None:
        return None
    for name in names_of("checks", names):
        if name not in shelf.names("checks"):
            raise unknown("check", name, shelf.names("checks"))
    return tuple(dict.fromkeys(names))


def artifacts_of(artifact: Artifacts | None, routes: Sequence[Route]) -> dict[str, Path]:
    """The file to prove for each target. Raises `UsageError` for targets that were not asked for and for transforms."""
    if artifact is None:
        return {}
    if any(route.transforms for route in routes):
        raise UsageError("artifact with transforms: a file that is already there cannot be transformed from the subject")
    known = {route.target for route in routes}
    if isinstance(artifact, Mapping):
        files = {shelf.canonical(target): Path(path) for target, path in artifact.items()}
        for target in files.keys() - known:
            raise unknown("target of artifact", target, sorted(known))
        return files
    return dict.fromkeys(known, Path(artifact))


def imports_of(modules: Sequence[str]) -> tuple[str, ...]:
    """The modules for `imports=`. Raises `UsageError` for those that cannot be found."""
    if isinstance(modules, str):
        raise UsageError(f"imports is {modules!r}: give a list of module names")
    for module in modules:
        try:
            found = importlib.util.find_spec(module)
        except ImportError:
            found = None
        if found is None:
            raise UsageError(f"imports names {module!r}: there is no such module")
    return tuple(modules)


def limits(timeout: float, threads: int) -> None:
    """Raises `UsageError` for a time or a number of threads that is none."""
    if not (isinstance(timeout, (int, float)) and timeout > 0):
        raise UsageError(f"timeout is {timeout!r}: give a positive number of seconds")
    if not (isinstance(threads, int) and threads > 0):
        raise UsageError(f"threads is {threads!r}: give a positive whole number")
