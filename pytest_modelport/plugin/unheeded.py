"""A test that goes on after its port was called wrong: it ends as the port did."""

from __future__ import annotations

import pytest

from pytest_modelport.core.verdict import Outcome, Verdict, worst
from pytest_modelport.plugin.stash import ANSWERED, CALLS, SETTINGS, VERDICTS

_UNDECIDED = (Outcome.SKIPPED, Outcome.INCONCLUSIVE)


def end_as_its_ports(item: pytest.Item) -> None:
    """Fail or skip a test that has returned although a port of it is not green, or although a call
    of its has not come to its end (in a thread, say).
    """
    calls, answered = item.stash.get(CALLS, 0), item.stash.get(ANSWERED, 0)
    if calls == 0 and CALLS in item.stash:
        pytest.fail(
            "the test never called modelport(model, ...): nothing was proven", pytrace=False
        )
    fail_as_its_ports(item)
    if answered < calls:
        pytest.fail(
            f"{calls - answered} of {calls} calls of modelport(...) came to no verdict: "
            "they raised, or run in a thread that the test did not wait for",
            pytrace=False,
        )
    if verdict := _worst(item):
        pytest.skip(f"{verdict.outcome}: {verdict.reason}")


def fail_as_its_ports(item: pytest.Item) -> None:
    """Fail a test that a port of it fails, whatever the test has made of that."""
    verdict = _worst(item)
    strict = item.config.stash[SETTINGS].strict
    if verdict and (strict or verdict.outcome not in _UNDECIDED):
        pytest.fail(
            f"the test went on after {verdict.route.id} {verdict.outcome}: {verdict.reason}",
            pytrace=False,
        )


def _worst(item: pytest.Item) -> Verdict | None:
    """The worst verdict of a test's ports; None where all are green."""
    left = [verdict for verdict in item.stash.get(VERDICTS, []) if not verdict.passed]
    return worst(left) if left else None
