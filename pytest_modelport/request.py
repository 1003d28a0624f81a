"""What was asked for, checked and made canonical: routes, checks, artifacts. Imports nothing heavy: it runs at collection."""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from pytest_modelport import shelf
from pytest_modelport.chain import Chain, Function, Step, chain_of
from pytest_modelport.contract import Format
from pytest_modelport.errors import UsageError, unknown
from pytest_modelport.route import Route
from pytest_modelport.target import spelled, valued

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


def transform_of(value: object) -> Chain:
    """A transform or a chain of them, its options' values checked; `none` is the empty one. Raises `UsageError`."""
    if value == NO_TRANSFORM:
        return Chain(())
    return Chain(tuple(map(_known, chain_of(value).steps)))


def _known(step: Step) -> Step:
    if step.function is not None:
        if step.name in (NO_TRANSFORM, *shelf.names("transforms")):
            raise UsageError(f"transform {step.name} is the name of one of Modelport's: call the function otherwise")
        return step
    if step.name not in shelf.names("transforms"):
        raise unknown("transform", step.name, (NO_TRANSFORM, *shelf.names("transforms")))
    values = valued(step.name, step.options, shelf.options(shelf.transform(step.name)))
    return Step(step.name, tuple((key, spelled(value)) for key, value in values))


def route_of(target: str, device: str, chain: Chain) -> Route:
    """A route whose parts fit together. Raises `UsageError` for a chain that makes no sense for the target."""
    maker, before = shelf.format_(shelf.target(target).format), ""
    kind, steps = maker.KIND, [_fitting(step, maker) for step in chain.steps]
    for step in steps:
        on = "subject" if step.function is not None else shelf.transform(step.name).ON
        if on not in ("subject", kind):
            raise UsageError(
                f"transform {step.name} works on {on} files, and target {target} makes none: give it a test of its own"
            )
        if on == "subject" and before:
            raise UsageError(
                f"transform {step.name} works on the model, so it cannot come after {before}, which works on the file"
            )
        before = step.name if on != "subject" else before
    return Route(target, device, tuple(map(str, steps)))


def _fitting(step: Step, maker: Format) -> Step:
    """The step with the quantizer whose patterns the format's own runtime knows, where none was chosen."""
    wanted = getattr(maker, "QUANTIZER", "")
    known = {} if step.function is not None else shelf.options(shelf.transform(step.name))
    if not wanted or "quantizer" not in known or "quantizer" in dict(step.options):
        return step
    return Step(step.name, (*step.options, ("quantizer", wanted)))


def routes_of(targets: Sequence[str], transforms: Sequence[Any], devices: Sequence[str]) -> tuple[Route, ...]:
    """Every combination, canonical and without repetitions. Raises `UsageError` for names that are not known."""
    routes = [
        route_of(shelf.canonical(str(target)), device_of(device), transform_of(transform))
        for transform in names_of("transforms", transforms)
        for target in names_of("targets", targets)
        for device in names_of("devices", devices)
    ]
    return tuple(dict.fromkeys(routes))


def functions_of(chains: Iterable[Chain]) -> dict[str, Function]:
    """The user's own transforms in these chains, by name. Raises `UsageError` for two of one name."""
    found: dict[str, Function] = {}
    for step in (step for chain in chains for step in chain.steps):
        if step.function is not None and found.setdefault(step.name, step.function) is not step.function:
            raise UsageError(f"two transforms are called {step.name}: give each function a name of its own")
    return found


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
