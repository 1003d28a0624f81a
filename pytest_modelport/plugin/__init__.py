"""pytest's hooks, each a few lines. The only part of Modelport that imports pytest."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

import pytest

from pytest_modelport.plugin import collect, marker, options
from pytest_modelport.plugin.fixture import MODELPORT, VERDICTS, WORKSPACE, modelport
from pytest_modelport.plugin.randomness import seeded

__all__ = ["modelport"]

_COLLECTED = pytest.StashKey[list[dict[str, Any]]]()
_ATTRIBUTE = "modelport"


def pytest_addoption(parser: pytest.Parser) -> None:
    options.add(parser)


@pytest.hookimpl(wrapper=True)
def pytest_load_initial_conftests(parser: pytest.Parser) -> Generator[None]:
    yield
    options.add_aliases(parser)


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", marker.LINE)


@pytest.hookimpl(trylast=True)  # after the test's own parameters, so that the route comes last in every id
def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    collect.parametrize(metafunc)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    collect.deselect(config, items)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    if collect.route_of(item) is None:
        return (yield)
    with seeded(collect.subject_of(item)):
        return (yield)


@pytest.hookimpl(wrapper=True)
def pytest_fixture_setup(fixturedef: pytest.FixtureDef[Any], request: pytest.FixtureRequest) -> Generator[None, object, object]:
    """A fixture that outlives the item must not depend on which route came first."""
    item = getattr(request, "_pyfuncitem", None)
    if fixturedef.scope == "function" or item is None or collect.route_of(item) is None:
        return (yield)
    with seeded(fixturedef.baseid, fixturedef.argname, str(getattr(request, "param_index", 0))):
        return (yield)


@pytest.hookimpl(wrapper=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> Generator[None, object, object]:
    result = yield
    made = pyfuncitem.stash.get(MODELPORT, None)
    if made is not None and not made.called:
        pytest.fail("the test never called modelport(model, ...): nothing was proven", pytrace=False)
    return result


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if call.when == "call" and VERDICTS in item.stash:
        setattr(report, _ATTRIBUTE, [verdict.to_dict() for verdict in item.stash[VERDICTS]])  # travels with xdist
    return report


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    from pytest_modelport.plugin.summary import write

    reports = [report for group in terminalreporter.stats.values() for report in group if hasattr(report, _ATTRIBUTE)]
    if reports:
        write(
            terminalreporter,
            options.settings(config),
            [row for report in reports for row in getattr(report, _ATTRIBUTE)],
        )


def pytest_unconfigure(config: pytest.Config) -> None:
    if WORKSPACE in config.stash:
        config.stash[WORKSPACE].close()
