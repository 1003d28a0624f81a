"""Every verdict of the run, xdist's workers' included, in the process that started it."""

from __future__ import annotations

from typing import Any

import pytest

from pytest_modelport.plugin.keys import ATTRIBUTE, ROWS


def is_worker(config: pytest.Config) -> bool:
    """Whether this is one of pytest-xdist's workers."""
    return hasattr(config, "workerinput")


class Gatherer:
    """A plugin of its own: only so does a report come with the run it belongs to."""

    def __init__(self, config: pytest.Config) -> None:
        self._rows: list[dict[str, Any]] = config.stash.setdefault(ROWS, [])

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self._rows += getattr(report, ATTRIBUTE, ())
