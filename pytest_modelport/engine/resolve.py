"""What was asked for, checked and made canonical: routes, checks, artifacts. Imports nothing heavy:
it runs at collection.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from pytest_modelport.backends import registry
from pytest_modelport.backends.contract import Format
from pytest_modelport.core.errors import BrokenItem, UsageError, unknown
from pytest_modelport.core.route import Route
from pytest_modelport.core.target import spelled, valued
from pytest_modelport.request.options import Artifacts
from pytest_modelport.request.transform_chain import (
    Function,
    TransformChain,
    TransformStep,
    chain_of,
)

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


def transform_of(value: object) -> TransformChain:
    """A transform or a chain of them, its options' values checked; `none` is the empty one. Raises
    `UsageError`.
    """
    if value == NO_TRANSFORM:
        return TransformChain(())
    return TransformChain(tuple(map(_known, chain_of(value).steps)))


def _known(step: TransformStep) -> TransformStep:
    known = registry.names("transforms")
    if step.function is not None:
        if step.name in (NO_TRANSFORM, *known):
            raise UsageError(
                f"transform {step.name} is the name of one of Modelport's: "
                "call the function otherwise"
            )
        return step
    if step.name not in known:
        raise unknown("transform", step.name, (NO_TRANSFORM, *known))
    try:
        options = registry.options(registry.transform(step.name))
    except BrokenItem:  # its route says why
        return step
    values = valued(step.name, step.options, options)
    return TransformStep(step.name, tuple((key, spelled(value)) for key, value in values))


def route_of(target: str, device: str, chain: TransformChain) -> Route:
    """A route whose parts fit together. Raises `UsageError` for a chain that makes no sense for the
    target.

    Whether the parts of a broken item fit is not known: the route is there, and says that it is
    broken.
    """
    try:
        steps = _fitting_steps(target, chain)
    except BrokenItem:
        steps = chain.steps
    return Route(target, device, tuple(map(str, steps)))


def _fitting_steps(target: str, chain: TransformChain) -> tuple[TransformStep, ...]:
    maker, before = registry.format_(registry.target(target).format), ""
    steps = tuple(_fitting(step, maker) for step in chain.steps)
    for step in steps:
        on = "subject" if step.function is not None else registry.transform(step.name).ON
        if on not in ("subject", maker.KIND):
            raise UsageError(
                f"transform {step.name} works on {on} files, and target {target} makes none: "
                "give it a test of its own"
            )
        if on == "subject" and before:
            raise UsageError(
                f"transform {step.name} works on the model, so it cannot come after {before}, "
                "which works on the file"
            )
        before = step.name if on != "subject" else before
    return steps


def _fitting(step: TransformStep, maker: Format) -> TransformStep:
    """The step with the quantizer whose patterns the format's own runtime knows, where none was
    chosen.
    """
    wanted = getattr(maker, "QUANTIZER", "")
    known = {} if step.function is not None else registry.options(registry.transform(step.name))
    if not wanted or "quantizer" not in known or "quantizer" in dict(step.options):
        return step
    return TransformStep(step.name, (*step.options, ("quantizer", wanted)))


def routes_of(
    targets: Sequence[str], transforms: Sequence[Any], devices: Sequence[str]
) -> tuple[Route, ...]:
    """Every combination, canonical and without repetitions. Raises `UsageError` for names that are
    not known.
    """
    routes = [
        route_of(registry.canonical(str(target)), device_of(device), transform_of(transform))
        for transform in names_of("transforms", transforms)
        for target in names_of("targets", targets)
        for device in names_of("devices", devices)
    ]
    return tuple(dict.fromkeys(routes))


def functions_of(chains: Iterable[TransformChain]) -> dict[str, Function]:
    """The user's own transforms, by name. Raises `UsageError` for two of one name."""
    found: dict[str, Function] = {}
    for step in (step for chain in chains for step in chain.steps):
        if (
            step.function is not None
            and found.setdefault(step.name, step.function) is not step.function
        ):
            raise UsageError(
                f"two transforms are called {step.name}: give each function a name of its own"
            )
    return found


def checks_of(names: Sequence[str] | None) -> tuple[str, ...] | None:
    """The checks named, without repetitions; None stays None and means the default ones. Raises
    `UsageError`.
    """
    if names is None:
        return None
    for name in names_of("checks", names):
        if name not in registry.names("checks"):
            raise unknown("check", name, registry.names("checks"))
    return tuple(dict.fromkeys(names))


def artifacts_of(artifact: Artifacts | None, routes: Sequence[Route]) -> dict[str, Path]:
    """The file to prove for each target. Raises `UsageError` for targets that were not asked for
    and for transforms.
    """
    if artifact is None:
        return {}
    if any(route.transforms for route in routes):
        raise UsageError(
            "artifact with transforms: "
            "a file that is already there cannot be transformed from the model"
        )
    known = {route.target for route in routes}
    if isinstance(artifact, Mapping):
        files = {registry.canonical(target): Path(path) for target, path in artifact.items()}
        for target in files.keys() - known:
            raise unknown("target of artifact", target, sorted(known))
        return files
    return dict.fromkeys(known, Path(artifact))
