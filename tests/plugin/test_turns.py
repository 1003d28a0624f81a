"""A latency that the machine did not let be known is asked again when all other tests are over."""

from __future__ import annotations

import json

import pytest

BUSY = """
import pytest_modelport.checks.latency as latency
from pytest_modelport.checks import _latency_runs
from pytest_modelport.checks._latency_runs import Runs
from pytest_modelport.cleanroom.stopwatch import Lap

REAL, asked, seen = latency.runs, [], []

def runs(timed, count, seconds, *, alone, **how):
    asked.append(count)
    if len(asked) <= BUSY_FOR:
        return Runs(((Lap(1.0, 0.5, 1),) * 20,) * 3, alone)
    return REAL(timed, count, seconds, alone=alone, **how)

@pytest.fixture(autouse=True)
def machine(monkeypatch):
    monkeypatch.setattr(latency, "runs", runs)
    monkeypatch.setattr(_latency_runs, "_PAUSE", 0)

@pytest.fixture(scope="module")
def shared():
    seen.append("made")
    yield
    seen.append("closed")

@portable("torchscript", latency={"p50_ms": 500})
def test_timed(modelport, shared, record_property):
    seen.append("timed")
    record_property("turn", len(asked))
    modelport(Net(), torch.randn(1, 3))
"""
OTHER = """
def test_other(shared):
    seen.append("other")
"""
ORDER = """
@pytest.fixture(scope="session", autouse=True)
def order():
    import test_it
    yield
    print("order:", *test_it.seen)
"""


@pytest.fixture(autouse=True)
def alone(monkeypatch):
    monkeypatch.delenv("PYTEST_XDIST_WORKER_COUNT", raising=False)


def said(result):
    return "\n".join(result.outlines)


def test_it_passes_when_the_machine_is_quiet_at_the_end(run, pytester):
    """Reported once, by its second turn; fixtures that outlive a test are made once."""
    options = ("--modelport-report=said.json", "--junitxml=said.xml", "-s")
    result = run(
        BUSY.replace("BUSY_FOR", "2") + OTHER,
        *options,
        conftest="import pytest" + ORDER,
        ini="junit_family = xunit1",
    )
    result.assert_outcomes(passed=2)
    assert (
        "test_timed[torchscript-cpu]: latency undecided on this busy machine; measured again after the other tests"
        in said(result)
    )
    assert "order: made timed other timed closed" in said(result)
    verdicts = json.loads((pytester.path / "said.json").read_text())["verdicts"]
    assert [
        (one["check"], one["outcome"]) for one in verdicts if one["check"] in ("latency", "parity")
    ] == [
        ("parity", "passed"),
        ("latency", "passed"),
    ]
    page = (pytester.path / "said.xml").read_text()
    assert 'tests="2"' in page
    assert 'name="turn" value="0"' not in page


def test_it_is_inconclusive_when_the_machine_stays_busy(run):
    result = run(BUSY.replace("BUSY_FOR", "4") + OTHER)
    result.assert_outcomes(passed=1, skipped=1)
    assert said(result).count("measured again after the other tests") == 1
    run(BUSY.replace("BUSY_FOR", "4") + OTHER, "--modelport-strict").assert_outcomes(
        passed=1, failed=1
    )


def test_nothing_comes_after_the_last_one(run):
    result = run(BUSY.replace("BUSY_FOR", "2"))
    result.assert_outcomes(skipped=1)
    assert "measured again after the other tests" not in said(result)


def test_a_loop_that_does_not_see_it_takes_no_test_away(run):
    """A plugin that runs a copy of the list of tests."""
    loop = """
import pytest

def pytest_runtestloop(session):
    items = list(session.items)
    for item, following in zip(items, [*items[1:], None]):
        item.ihook.pytest_runtest_protocol(item=item, nextitem=following)
    return True
"""
    result = run(BUSY.replace("BUSY_FOR", "2") + OTHER, conftest=loop)
    result.assert_outcomes(passed=2)
    assert said(result).count("measured again after the other tests") == 1


def test_a_test_that_fails_has_one_turn(run):
    slow = BUSY.replace("BUSY_FOR", "99").replace(
        "Lap(1.0, 0.5, 1)", "Lap(1.0, 1.0, 0)"
    )  # on a machine of its own
    result = run(slow + OTHER)
    result.assert_outcomes(passed=1, failed=1)
    assert "measured again after the other tests" not in said(result)
