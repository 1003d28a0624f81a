"""Every verdict of the run, xdist's workers' included, in the process that started it; and the
tests that have none.
"""

from __future__ import annotations

import os
from collections.abc import Generator, Sequence
from pathlib import Path
from typing import Any

import pytest

from pytest_modelport.plugin.stash import ATTRIBUTE, DESELECTED, ROWS, UNHEARD, is_portable

#: How xdist marks the report on a test whose worker has died.
_CRASHED = "???"
_OUTPUT = "modelport"


def is_worker(config: pytest.Config) -> bool:
    """Whether this is one of pytest-xdist's workers."""
    return hasattr(config, "workerinput")


class Gatherer:
    """A plugin of its own: only so does a report come with the run it belongs to."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self._rows: list[dict[str, Any]] = (
            [] if is_worker(config) else config.stash.setdefault(ROWS, [])
        )
        self._unheard: list[dict[str, Any]] = []
        self._selected: dict[str, list[str]] = {}
        self._deselected: list[list[str]] = []
        self._heard: set[str] = set()

    def pytest_deselected(self, items: Sequence[pytest.Item]) -> None:
        """What `-k`, `--targets`, a shard and others leave out."""
        for item in filter(is_portable, items):
            self._leave_out(_key(item))

    @pytest.hookimpl(wrapper=True)
    def pytest_ignore_collect(self, collection_path: Path) -> Generator[None, Any, Any]:
        """A test file that a conftest or an option leaves out."""
        ignored = yield
        if ignored and collection_path.suffix == ".py" and _concerns_us(collection_path):
            suite = os.path.relpath(collection_path, self._config.rootpath)
            self._leave_out([Path(suite).as_posix(), "the whole file", ""])
        return ignored

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        if not self._config.getoption("collectonly"):
            self._selected = {
                item.nodeid: _key(item) for item in session.items if is_portable(item)
            }

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        found = getattr(report, ATTRIBUTE, ())
        self._rows += found
        if found or report.when == _CRASHED:
            self._heard.add(report.nodeid)
        if report.when == _CRASHED:
            self._missed(report.nodeid, "error", f"the test has no verdict: {report.longrepr}")

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """A file that cannot be read, or leaves itself out, may hold portable tests: they are not
        there, and not green.
        """
        if report.failed:
            self._missed(report.nodeid, "error", "its tests could not be collected")
        elif report.skipped:
            said = report.longrepr[2] if isinstance(report.longrepr, tuple) else "skipped"
            self._missed(
                report.nodeid,
                "skipped",
                f"the whole file is skipped: {str(said).removeprefix('Skipped: ')}",
            )

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionfinish(self) -> None:
        if is_worker(self._config):
            output = {
                "unheard": self._unheard,
                "selected": self._selected,
                "deselected": self._deselected,
            }
            self._config.workeroutput[_OUTPUT] = output  # type: ignore[attr-defined]
            return
        self._config.stash[DESELECTED] = self._deselected
        self._config.stash[UNHEARD] = [
            _never_asked(key) for nodeid, key in self._selected.items() if nodeid not in self._heard
        ]

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any) -> None:
        output = getattr(node, "workeroutput", {}).get(_OUTPUT)
        if output is None:  # it died, and what it was asked is with the others
            return
        for row in output["unheard"]:
            self._note(row)
        for key in output["deselected"]:
            self._leave_out(list(key))
        self._selected |= output["selected"]

    def _leave_out(self, key: list[str]) -> None:
        if key not in self._deselected:
            self._deselected.append(key)

    def _missed(self, nodeid: str, outcome: str, reason: str) -> None:
        suite, _, subject = nodeid.partition("::")
        if _concerns_us(Path(self._config.rootpath, suite)):
            from pytest_modelport.core.verdict import Outcome, unheard

            self._note(
                unheard(Outcome(outcome), reason.strip().splitlines()[0], subject, suite).to_dict()
            )

    def _note(self, row: dict[str, Any]) -> None:
        if row not in self._unheard:
            self._unheard.append(row)
            self._rows.append(row)


def _key(item: pytest.Item) -> list[str]:
    """File, subject and route of an item."""
    from pytest_modelport.plugin.collect import route_of, subject_of

    suite, _, subject = subject_of(item).partition("::")
    route = route_of(item)
    return [suite, subject, route.id if route else ""]


def _never_asked(key: list[str]) -> dict[str, Any]:
    """The row of an item that was selected and of which no test report came."""
    from pytest_modelport.core.verdict import Outcome, unheard

    suite, subject, route = key
    said = f"{route or 'the test'} was selected and never asked: it has no verdict"
    return unheard(Outcome.ERROR, said, subject, suite).to_dict()


def _concerns_us(path: Path) -> bool:
    """Whether a test file, or any of a package's, speaks of portable tests."""
    files = path.rglob("*.py") if path.is_dir() else [path] if path.is_file() else []
    return any(word in file.read_bytes() for file in files for word in (b"portable", b"modelport"))
