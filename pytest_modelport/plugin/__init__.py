"""pytest's hooks, each a few lines; everything behind them is imported when the first test is
portable.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import TYPE_CHECKING, Any

import pytest

from pytest_modelport.plugin import options
from pytest_modelport.plugin.gather import Gatherer, is_worker
from pytest_modelport.plugin.read_settings import forget_reports, read
from pytest_modelport.plugin.second_turn import Turns
from pytest_modelport.plugin.stash import (
    ATTRIBUTE,
    FIXTURE,
    MARKER,
    RELEASED,
    ROWS,
    SETTINGS,
    WORKSPACE,
    is_portable,
    might_be_portable,
)

if TYPE_CHECKING:
    from pytest_modelport.plugin.fixture import Modelport

_MARKER_LINE = (
    f"{MARKER}(*, targets, transforms, devices, checks, latency, size, memory, quality): "
    "ask this test once for every route (transform x target x device); "
    f"it takes the fixture {FIXTURE} and calls it"
)


def pytest_addoption(parser: pytest.Parser) -> None:
    options.add(parser)


@pytest.hookimpl(wrapper=True)
def pytest_load_initial_conftests(
    early_config: pytest.Config, parser: pytest.Parser, args: list[str]
) -> Generator[None]:
    forget_reports(early_config)
    yield
    options.add_aliases(parser, args)


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", _MARKER_LINE)
    config.stash[SETTINGS] = read(config)
    if config.stash[SETTINGS].models:
        from pytest_modelport.plugin.portable_models import prepare

        prepare(config)
    config.pluginmanager.register(Gatherer(config), "modelport-gatherer")
    if not is_worker(config):  # beside others nothing is timed
        config.pluginmanager.register(Turns(), "modelport-turns")


@pytest.hookimpl(tryfirst=True)
def pytest_pycollect_makeitem(collector: pytest.Collector, name: str, obj: object) -> None:
    """A portable class that says what its model is and tests nothing else gets the test; one that
    would prove nothing is an error.
    """
    if isinstance(obj, type) and might_be_portable(collector, obj):
        from pytest_modelport.core.errors import UsageError
        from pytest_modelport.plugin.portable_classes import complete

        try:
            complete(collector, name, obj)
        except UsageError as error:
            raise collector.CollectError(str(error)) from None


# After the test's own parameters, so that the route comes last in every id.
@pytest.hookimpl(trylast=True)
def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if metafunc.definition.get_closest_marker(MARKER) is not None:
        from pytest_modelport.plugin.collect import parametrize

        parametrize(metafunc)


@pytest.hookimpl(tryfirst=True)  # before others select among the items
def pytest_collection_modifyitems(
    session: pytest.Session, config: pytest.Config, items: list[pytest.Item]
) -> None:
    if config.stash[SETTINGS].models:
        from pytest_modelport.plugin.portable_models import collect

        items += collect(session)
    if config.stash[SETTINGS].benchmark:
        from pytest_modelport.plugin.benchmarks import admit

        admit(config, items)
    if config.stash[SETTINGS].only is not None:
        from pytest_modelport.plugin.collect import deselect

        deselect(config, items)
    if config.stash[SETTINGS].shard and any(map(is_portable, items)):
        from pytest_modelport.plugin.collect import keep_shard

        keep_shard(config, items)


def pytest_collection_finish(session: pytest.Session) -> None:
    plugins, name = session.config.pluginmanager, "modelport-lifetimes"
    if any(map(is_portable, session.items)) and not plugins.hasplugin(name):
        from pytest_modelport.plugin.lifetimes import Lifetimes

        plugins.register(Lifetimes(session.config), name)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """What pytest could not ask on routes (a method of a `unittest.TestCase`) proves nothing."""
    if is_portable(item):
        from pytest_modelport.plugin.collect import route_of

        if route_of(item) is None:
            kind = type(item).__name__
            pytest.fail(
                f"a {kind} cannot be marked {MARKER}: it cannot be asked once for every route; "
                f"write a function or a method of a plain class that takes {FIXTURE!r}",
                pytrace=False,
            )


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    if not is_portable(item):
        return (yield)
    from pytest_modelport.plugin.collect import subject_of
    from pytest_modelport.plugin.seeds import seeded

    with seeded(subject_of(item)):
        return (yield)


@pytest.hookimpl(wrapper=True)
def pytest_fixture_setup(
    fixturedef: pytest.FixtureDef[Any], request: pytest.FixtureRequest
) -> Generator[None, object, object]:
    """A fixture that outlives the item must not depend on which route came first."""
    item = getattr(request, "_pyfuncitem", None)
    if fixturedef.scope == "function" or item is None or not is_portable(item):
        return (yield)
    from pytest_modelport.plugin.seeds import seeded

    with seeded(fixturedef.baseid, fixturedef.argname, str(getattr(request, "param_index", 0))):
        return (yield)


@pytest.fixture
def modelport(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Modelport:
    """Prove a model on this item's route: `modelport(model, args, kwargs, *, dynamic_shapes=...,
    samples=...)`.
    """
    from pytest_modelport.plugin.fixture import make

    return make(request, tmp_path_factory)


@pytest.hookimpl(wrapper=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> Generator[None, object, object]:
    if not is_portable(pyfuncitem):
        return (yield)
    from pytest_modelport.plugin.unheeded import end_as_its_ports, fail_as_its_ports

    try:
        result = yield
    except pytest.skip.Exception:
        fail_as_its_ports(pyfuncitem)
        raise
    end_as_its_ports(pyfuncitem)
    if RELEASED in pyfuncitem.stash:  # the whole test has passed, and not only its calls
        from pytest_modelport.plugin.releases import write_artifacts

        write_artifacts(pyfuncitem.stash[RELEASED])
    return result


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if is_portable(item):
        from pytest_modelport.plugin.run_report import rows

        if found := rows(item, call, report):
            setattr(report, ATTRIBUTE, found)
    return report


def pytest_terminal_summary(terminalreporter: Any) -> None:
    rows = terminalreporter.config.stash.get(ROWS, [])
    if rows:
        from pytest_modelport.plugin.summary import write

        write(terminalreporter, rows)


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    stash = session.config.stash
    if ROWS in stash and (
        stash[ROWS] or stash[SETTINGS].reports
    ):  # a report of nothing is one too, and red
        from pytest_modelport.plugin.run_report import finish

        finish(session, exitstatus)


def pytest_unconfigure(config: pytest.Config) -> None:
    if WORKSPACE in config.stash:
        config.stash[WORKSPACE].close()
