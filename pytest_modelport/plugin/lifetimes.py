"""When what the routes of one subject share is let go: its references, artifacts and models are as
large as the subject, and a suite has hundreds.
"""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Generator

import pytest

from pytest_modelport.plugin.collect import subject_of
from pytest_modelport.plugin.gather import is_worker
from pytest_modelport.plugin.stash import WORKSPACE, is_portable

#: Subjects with routes to come that are held at once, where tests run in a random order: what is
#: let go too early is made again.
AT_ONCE = 8


class Lifetimes:
    """Lets subjects go: when their last item is over, when too many wait for theirs, and, in one of
    xdist's workers, which does not know what else it will get, when an item of another subject is
    next.
    """

    def __init__(self, config: pytest.Config) -> None:
        self._config, self._worker = config, is_worker(config)
        self._ahead: Counter[str] = Counter()
        self._counted = 0
        self._waiting: OrderedDict[str, None] = OrderedDict()

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_protocol(
        self, item: pytest.Item, nextitem: pytest.Item | None
    ) -> Generator[None, object, object]:
        result = yield
        if is_portable(item):
            self._over(item, nextitem)
        return result

    def _over(self, item: pytest.Item, nextitem: pytest.Item | None) -> None:
        self._count(item.session)
        subject = subject_of(item)
        self._ahead[subject] -= 1
        self._waiting[subject] = None
        self._waiting.move_to_end(subject)
        goes_on = nextitem is not None and subject_of(nextitem) == subject
        if self._ahead[subject] <= 0 or (self._worker and not goes_on):
            self._let_go(subject)
        while len(self._waiting) > AT_ONCE:
            self._let_go(next(iter(self._waiting)))

    def _count(self, session: pytest.Session) -> None:
        """Add the items that are new: at first all, later those that get another turn."""
        self._ahead.update(map(subject_of, filter(is_portable, session.items[self._counted :])))
        self._counted = len(session.items)

    def _let_go(self, subject: str) -> None:
        del self._waiting[subject]
        if WORKSPACE in self._config.stash:
            self._config.stash[WORKSPACE].let_go(subject)
