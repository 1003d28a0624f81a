"""Every verdict of the run, xdist's workers' included, in the process that started it; and the
tests that have none.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from pytest_modelport.plugin.stash import ATTRIBUTE, ROWS

#: How xdist marks the report on a test whose worker has died.
_CRASHED = "???"
_OUTPUT = "modelport_unheard"


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

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self._rows += getattr(report, ATTRIBUTE, ())
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
            self._config.workeroutput[_OUTPUT] = self._unheard  # type: ignore[attr-defined]

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any) -> None:
        for row in getattr(node, "workeroutput", {}).get(_OUTPUT, ()):
            self._note(row)

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


def _concerns_us(path: Path) -> bool:
    """Whether a test file, or any of a package's, speaks of portable tests."""
    files = path.rglob("*.py") if path.is_dir() else [path] if path.is_file() else []
    return any(word in file.read_bytes() for file in files for word in (b"portable", b"modelport"))
