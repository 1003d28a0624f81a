"""Another turn, after all other items, for those whose latency the machine did not let be known."""

from __future__ import annotations

from collections.abc import Generator, Iterable
from typing import TYPE_CHECKING, Any

import pytest
from _pytest.runner import runtestprotocol

from pytest_modelport.plugin.stash import RELEASED, TURN, VERDICTS, is_portable

if TYPE_CHECKING:
    from pytest_modelport.core.verdict import Verdict

#: What only a measurement has.
_MEASURED = {"runs_ms", "pairs"}


class Turns:
    """Runs portable items, and those that were put off once more at the end. Not for xdist's
    workers: they time nothing.
    """

    def __init__(self) -> None:
        self._waiting: list[pytest.Item] = []

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_protocol(
        self, item: pytest.Item, nextitem: pytest.Item | None
    ) -> bool | None:
        if item in self._waiting:
            self._waiting.remove(item)
            return None
        if nextitem is None or not is_portable(item) or TURN in item.stash:
            return None  # nothing comes after it, or another plugin runs it again
        item.stash[TURN] = False
        properties = list(item.user_properties)
        item.ihook.pytest_runtest_logstart(nodeid=item.nodeid, location=item.location)
        reports = runtestprotocol(item, log=False, nextitem=nextitem)
        if item.stash[TURN]:
            item.user_properties[:] = properties
            _forget(item, VERDICTS, RELEASED)
            self._waiting.append(item)
            item.session.items.append(item)  # pytest's loop comes to it
            _say(
                item.config,
                f"{item.nodeid}: latency undecided on this busy machine; "
                "measured again after the other tests",
            )
        else:
            for report in reports:
                item.ihook.pytest_runtest_logreport(report=report)
        item.ihook.pytest_runtest_logfinish(nodeid=item.nodeid, location=item.location)
        return True

    @pytest.hookimpl(wrapper=True)
    def pytest_runtestloop(self) -> Generator[None, object, object]:
        """Other plugins' loops may not see what was appended: nothing that was put off goes
        unreported.
        """
        result = yield
        while self._waiting:
            item = self._waiting[0]
            item.ihook.pytest_runtest_protocol(item=item, nextitem=None)
        return result


def put_off(item: pytest.Item, verdicts: Iterable[Verdict]) -> None:
    """End the item here, unreported, if a latency could not be known and it has another turn."""
    if item.stash.get(TURN, True):
        return
    from pytest_modelport.core.verdict import Outcome

    for verdict in verdicts:
        if (
            verdict.check == "latency"
            and verdict.outcome is Outcome.INCONCLUSIVE
            and _MEASURED & verdict.evidence.keys()
        ):
            item.stash[TURN] = True
            pytest.skip(verdict.reason)


def _forget(item: pytest.Item, *keys: pytest.StashKey[Any]) -> None:
    for key in keys:
        if key in item.stash:
            del item.stash[key]


def _say(config: pytest.Config, line: str) -> None:
    reporter: Any = config.pluginmanager.get_plugin("terminalreporter")
    if reporter is not None:
        reporter.ensure_newline()
        reporter.write_line(line)
