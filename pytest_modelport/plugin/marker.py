"""The marker `portable`: which routes a test is asked on."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import pytest

from pytest_modelport.backends import registry
from pytest_modelport.core.errors import UsageError, unknown
from pytest_modelport.core.route import Route
from pytest_modelport.engine.resolve import (
    NO_TRANSFORM,
    checks_of,
    device_of,
    functions_of,
    names_of,
    route_of,
    transform_of,
)
from pytest_modelport.plugin.settings import Settings
from pytest_modelport.plugin.stash import MARKER
from pytest_modelport.request.budgets import budgets_of
from pytest_modelport.request.transform_chain import Function

BUDGETS = ("latency", "size", "memory", "quality")
KEYWORDS = ("targets", "transforms", "devices", "checks", *BUDGETS)


@dataclass(frozen=True)
class Portable:
    """A test's routes, each with the marks its parts carry, its checks (None: the default ones),
    its budgets, and those of its transforms that are functions.
    """

    routes: tuple[tuple[Route, tuple[Any, ...]], ...]
    checks: tuple[str, ...] | None
    budgets: Mapping[str, Any]
    functions: Mapping[str, Function]


def read(markers: Iterable[pytest.Mark], settings: Settings) -> Portable:
    """Merge a test's markers, closest first: it wins keyword by keyword. Raises `UsageError`."""
    keywords: dict[str, Any] = {}
    for marker in markers:
        if marker.args:
            raise UsageError(
                f"{MARKER} takes keywords only: write {MARKER}(targets={list(marker.args)!r})"
            )
        for keyword, value in marker.kwargs.items():
            if keyword not in KEYWORDS:
                raise unknown(f"keyword of {MARKER}", keyword, KEYWORDS)
            keywords.setdefault(keyword, value)
    targets = _parts(
        "targets",
        keywords.get("targets", settings.targets),
        lambda value: registry.canonical(str(value)),
    )
    transforms = _parts("transforms", keywords.get("transforms", (NO_TRANSFORM,)), transform_of)
    devices = _parts("devices", keywords.get("devices", (settings.device,)), device_of)
    routes: dict[Route, tuple[Any, ...]] = {}
    for chain, chain_marks in transforms:
        for target, target_marks in targets:
            for device, device_marks in devices:
                route = route_of(target, device, chain)
                routes[route] = (*routes.get(route, ()), *chain_marks, *target_marks, *device_marks)
    budgets: dict[str, Any] = {
        keyword: keywords[keyword] for keyword in BUDGETS if keyword in keywords
    }
    budgets_of(**budgets)  # says here what is wrong with them
    functions = functions_of(chain for chain, _ in transforms)
    return Portable(tuple(routes.items()), checks_of(keywords.get("checks")), budgets, functions)


def _parts(keyword: str, values: Any, canonical: Any) -> list[tuple[Any, tuple[Any, ...]]]:
    """Each item of a list keyword, made canonical, with the marks of a `pytest.param` around it."""
    parts: list[tuple[Any, tuple[Any, ...]]] = []
    for value in names_of(keyword, values):
        if type(value).__name__ != "ParameterSet":
            parts.append((canonical(value), ()))
            continue
        param: Any = value
        if len(param.values) != 1:
            count = len(param.values)
            raise UsageError(f"pytest.param in {keyword} holds {count} values: give one")
        parts.append((canonical(param.values[0]), tuple(param.marks)))
    return parts
