"""Collection: one route, one item."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import replace

import pytest

from pytest_modelport.cleanroom.environments import declared, require
from pytest_modelport.core.errors import UsageError
from pytest_modelport.core.route import Route
from pytest_modelport.core.target import parse
from pytest_modelport.plugin import marker
from pytest_modelport.plugin.stash import FIXTURE, MARKER, NODE, SETTINGS, is_portable


def parametrize(metafunc: pytest.Metafunc) -> None:
    """Ask a portable test once per route. Fails the collection of tests that could not prove
    anything.
    """
    where = metafunc.definition.nodeid
    try:
        _require_fixture(metafunc)
        portable = marker.read(
            metafunc.definition.iter_markers(MARKER), metafunc.config.stash[SETTINGS]
        )
        routes = [route for route, _ in portable.routes]
        if any("@" in route.target for route in routes):
            require(routes, declared(metafunc.config.rootpath))
    except UsageError as error:
        pytest.fail(f"{where}: {error}", pytrace=False)
    metafunc.parametrize(
        FIXTURE,
        [
            pytest.param((route, portable), id=route.id, marks=marks)
            for route, marks in portable.routes
        ],
        indirect=True,
    )


def _require_fixture(metafunc: pytest.Metafunc) -> None:
    if FIXTURE not in metafunc.fixturenames:
        raise UsageError(
            f"a {MARKER} test must take the argument {FIXTURE!r} and call it: "
            "nothing would be proven"
        )
    definitions = metafunc._arg2fixturedefs.get(FIXTURE, ())
    if definitions and definitions[-1].func.__module__ != "pytest_modelport.plugin":
        where = definitions[-1].func.__module__
        raise UsageError(f"the fixture {FIXTURE!r} in {where} hides Modelport's own: rename it")


def route_of(item: pytest.Item) -> Route | None:
    """The route of an item, None when it is no portable test."""
    parameters = getattr(getattr(item, "callspec", None), "params", {})
    value = parameters.get(FIXTURE)
    return value[0] if isinstance(value, tuple) and value and isinstance(value[0], Route) else None


def subject_of(item: pytest.Item) -> str:
    """The item's node id without its route: what all routes of one test have in common."""
    route = route_of(item)
    if route is None:
        return item.nodeid
    head, _, parameters = item.nodeid.partition("[")
    rest = parameters.removesuffix(f"{route.id}]").removesuffix("-")
    return f"{head}[{rest}]" if rest else head


def rerun(item: pytest.Item, target: str) -> str:
    """The command that repeats just this item."""
    if item.nodeid.startswith(f"{NODE}::"):
        model = item.callspec.params["model"]  # type: ignore[attr-defined]
        return f"pytest --portable-model {shlex.quote(model)} --targets {shlex.quote(target)}"
    return f"pytest {shlex.quote(item.nodeid)}"


def _selected(target: str, only: Sequence[str]) -> bool:
    """Whether a target is among those asked for, itself or without its options or environment."""
    parsed = parse(target)
    without = (
        replace(parsed, options=()),
        replace(parsed, environment=""),
        replace(parsed, options=(), environment=""),
    )
    return any(str(variant) in only for variant in (parsed, *without))


def keep_shard(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Keep every N-th subject from the I-th on, with all its routes: what they share is made once.
    Tests that are not portable stay.
    """
    part, count = map(int, config.stash[SETTINGS].shard.split("/"))
    subjects = sorted({subject_of(item) for item in items if is_portable(item)})
    kept = set(subjects[part - 1 :: count])
    _drop(config, items, [i for i in items if is_portable(i) and subject_of(i) not in kept])


def deselect(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Keep only the routes whose target `--targets` names."""
    only = config.stash[SETTINGS].only or ()
    dropped = [
        item
        for item in items
        if (route := route_of(item)) is not None and not _selected(route.target, only)
    ]
    _drop(config, items, dropped)


def _drop(config: pytest.Config, items: list[pytest.Item], dropped: Sequence[pytest.Item]) -> None:
    if dropped:
        config.hook.pytest_deselected(items=dropped)
        gone = set(dropped)
        items[:] = [item for item in items if item not in gone]
