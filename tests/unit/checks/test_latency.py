"""Latency budgets: what they say, when the machine is not its own, and every refusal."""

from __future__ import annotations

import copy
import multiprocessing
import os
import time

import pytest
import torch
from torch import nn

from pytest_modelport import Outcome, Route, Stage, UsageError, verify
from pytest_modelport.checks._latency_runs import Runs, paired, runs, warm_up
from pytest_modelport.checks._latency_sign_test import Side
from pytest_modelport.cleanroom.stopwatch import Lap, laps
from pytest_modelport.reports.release import add, place
from pytest_modelport.request.budgets import Baseline, Latency, latency_of


@pytest.fixture(autouse=True)
def alone(monkeypatch):
    """These tests compare what differs by far more than another worker disturbs."""
    monkeypatch.delenv("PYTEST_XDIST_WORKER_COUNT", raising=False)


class Sleeper:
    """Takes as long as it is told, on a machine that may be busy."""

    def __init__(self, *walls: float, got: float = 1.0, preempted: int = 0) -> None:
        self._walls, self._got, self._preempted, self._calls = walls, got, preempted, 0

    def laps(self, count, warm=0):
        made = []
        for _ in range(count):
            wall = self._walls[self._calls % len(self._walls)]
            self._calls += 1
            made.append(Lap(wall, wall * self._got, self._preempted))
        return made


class Slow(nn.Module):
    def __init__(self, times: int) -> None:
        super().__init__()
        self.body = nn.ModuleList(nn.Linear(256, 256) for _ in range(times))

    def forward(self, x):
        for part in self.body:
            x = part(x).relu()
        return x


def slow(times: int) -> nn.Module:
    torch.manual_seed(0)
    return Slow(times).eval()


X = torch.randn(64, 256, generator=torch.Generator().manual_seed(0))
ASKED = ("parity", "latency")


def test_laps_are_what_calls_take():
    found = laps(lambda: time.sleep(0.01), 3, warm=1)
    assert len(found) == 3
    assert all(0.01 <= lap.wall < 0.2 and lap.cpu < 0.005 for lap in found)


@pytest.mark.parametrize(
    ("timed", "said"),
    [
        (Sleeper(0.001), ""),
        (Sleeper(0.001, preempted=1), "100% of the calls had to wait for the processor"),
        (Sleeper(0.001, got=0.5), "calls got 50% of the processor"),
        (
            Sleeper(*[0.001] * 20, *[0.002] * 20, *[0.001] * 20),
            "calls took 100% longer at one time than at another",
        ),
    ],
)
def test_a_busy_machine_is_noticed(timed, said):
    assert runs(timed, 60, 5.0, alone=True).busy == said


def test_what_several_threads_got_says_nothing_about_the_machine():
    assert runs(Sleeper(0.001, got=0.5), 60, 5.0, alone=False).busy == ""


def test_real_processes_beside_a_call_are_noticed():
    """As many as there are processors, and more."""
    stop = multiprocessing.Event()

    def spin():
        while not stop.is_set():
            pass

    others = [
        multiprocessing.Process(target=spin, daemon=True) for _ in range(2 * (os.cpu_count() or 1))
    ]
    for other in others:
        other.start()
    try:

        class Work:
            def laps(self, count, warm=0):
                return laps(lambda: sum(range(400_000)), count, warm)

        assert runs(Work(), 60, 10.0, alone=True).busy
    finally:
        stop.set()
        for other in others:
            other.join()


def test_pairs_decide_between_two_that_differ():
    assert paired(Sleeper(0.0012), Sleeper(0.001), 1.05, 0.01, 5.0).decided is Side.ABOVE
    assert paired(Sleeper(0.001), Sleeper(0.001), 1.05, 0.01, 5.0).decided is Side.BELOW
    torn = paired(Sleeper(0.001, 0.0012), Sleeper(0.001), 1.1, 0.01, 30.0)
    assert (torn.decided, len(torn.logs)) == (None, 1000)


def test_warming_up_ends_when_calls_are_steady():
    assert warm_up(Sleeper(*[0.01] * 5, *[0.005] * 5, *[0.001] * 100)) == 20


def test_percentiles_are_bounded_from_both_sides():
    value, low, high = Runs(
        tuple(tuple(Lap(0.001 * n, 0, 0) for n in range(1, 101)) for _ in range(1)), alone=True
    ).bounds(0.5, 0.01)
    assert (value, low < value < high) == (0.05, True)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"p95": 5}, "unknown latency budget 'p95': did you mean 'p95_ms'"),
        (
            {"p99.9_ms": 5},
            "p99.9_ms needs 4603 runs, more than the 600 made: p99 is the highest",
        ),
        ({"p10_ms": 5}, "p10_ms: give a percentile from p50 to p99"),
        ({"p95_ms": 0}, "p95_ms is 0: give a positive number"),
        ({"speedup_vs_eager": "fast"}, "speedup_vs_eager is 'fast': give a positive number"),
        (
            {"max_regression": "1%"},
            "max_regression is '1%': give a share from 2% to 99%; less is noise",
        ),
        ({"max_regression": "some"}, "max_regression is 'some': give a share such as '5%'"),
        (5, "latency is 5: give a dict"),
    ],
)
def test_budgets_that_make_no_sense_are_refused(given, said):
    with pytest.raises(UsageError, match=said):
        latency_of(given)


def test_budgets_are_read():
    assert latency_of({"p95_ms": 5, "speedup_vs_eager": 1.3, "max_regression": "5%"}) == Latency(
        {0.95: 5.0}, 1.3, 1.05
    )
    assert latency_of({"max_regression": 0.1}).regression == pytest.approx(1.1)
    assert not latency_of(None).given


def test_budgets_are_kept_or_broken(prove):
    kept, broken = (
        prove(["torchscript"], slow(2), X, checks=ASKED, latency=budget).verdicts[1:]
        for budget in ({"p50_ms": 1000, "speedup_vs_eager": 0.01}, {"speedup_vs_eager": 100})
    )
    assert [verdict.outcome for verdict in kept] == [Outcome.PASSED] * 2
    assert kept[0].reason.startswith("p50 is ")
    assert kept[0].evidence["percentiles"]["p50"]["budget"] == 1000
    assert kept[0].evidence["load_ms"] > 0
    assert [(verdict.outcome, verdict.stage) for verdict in broken] == [
        (Outcome.PASSED, Stage.BUDGET),
        (Outcome.FAILED, Stage.BUDGET),
    ]
    assert broken[1].reason.endswith(": the budget is 100x")


def test_the_last_releases_artifact_is_run_beside_the_new_one(prove, tmp_path):
    route = Route("onnx", "cpu", ())
    first = prove(["onnx"], slow(3), X, checks=("parity",))
    add(tmp_path, route, first.verdicts[0].evidence["artifact"], {})
    before = (place(tmp_path, route) / "manifest.json").read_bytes()
    asked = {"latency": {"max_regression": "20%"}, "baseline": Baseline(tmp_path), "checks": ASKED}
    same, slower = (prove(["onnx"], slow(times), X, **asked).verdicts[2] for times in (3, 6))
    assert same.outcome in (Outcome.PASSED, Outcome.INCONCLUSIVE), same
    assert slower.outcome is Outcome.FAILED
    assert "as long as the last release" in slower.reason
    assert (
        place(tmp_path, route) / "manifest.json"
    ).read_bytes() == before  # a release stays as it is
    (place(tmp_path, route) / "model.onnx").write_bytes(b"another")
    damaged = prove(["onnx"], slow(3), X, **asked).verdicts[-1]
    assert damaged.outcome is Outcome.ERROR
    assert "is not what was released" in damaged.reason


def test_without_a_last_release_a_regression_is_not_asked(prove, tmp_path):
    budget = {"max_regression": "20%"}
    unknown = prove(["torchscript"], slow(1), X, checks=ASKED, latency=budget).verdicts[2]
    assert unknown.outcome is Outcome.SKIPPED
    assert unknown.reason.startswith("max_regression was not measured: no last release; ")
    new = prove(
        ["torchscript"],
        slow(1),
        X,
        checks=ASKED,
        latency=budget,
        baseline=Baseline(tmp_path),
    ).verdicts[2]
    assert (new.outcome, new.reason[:29]) == (Outcome.PASSED, "new route: the last release h")


def test_other_batches_are_reported(prove):
    asked = {"latency": {"batch": [1, 256]}, "checks": ASKED}
    report = prove(["onnx"], slow(2), X, dynamic_shapes={0: "batch"}, **asked)
    found = report.verdicts[2]
    assert found.reason.startswith("batch 1: ")
    assert found.evidence["batch_ms"]["256"] > found.evidence["batch_ms"]["1"]
    fixed = prove(["onnx"], slow(2), X, **asked).verdicts[-1]
    assert fixed.outcome is Outcome.ERROR
    assert "unknown factor of a recipe 'batch'" in fixed.reason
    with pytest.raises(UsageError, match="latency batch is 8: give a list of sizes"):
        latency_of({"batch": 8})


def test_sizes_and_memory_are_budgets_too(prove):
    def asked(target="onnx", **budgets):
        checks = ("parity", "size", "memory", "latency")
        return {v.check: v for v in prove([target], slow(10), X, checks=checks, **budgets).verdicts}

    kept = asked(
        size={"mb": 5, "parameters": 1e6},
        memory={"mb": 500},
        latency={"load_ms": 60_000, "first_ms": 60_000},
    )
    assert {name: verdict.outcome for name, verdict in kept.items()} == dict.fromkeys(
        kept, Outcome.PASSED
    )
    assert kept["size"].evidence["parameters"] >= 10 * (256 * 256 + 256)
    assert kept["memory"].evidence["memory_mb"] > 2  # the weights at least
    broken = asked(size={"mb": 1, "parameters": 1000}, memory={"mb": 1}, latency={"load_ms": 0.001})
    assert {name for name, verdict in broken.items() if verdict.outcome is Outcome.FAILED} == {
        "size",
        "memory",
        "latency",
    }
    assert "MB of files, the budget is 1 MB; " in broken["size"].reason
    assert broken["latency"].reason.endswith("the budget is 0.001 ms (the fastest of 5)")
    live = asked("state_dict", memory={"mb": 500})["memory"]
    assert live.outcome is Outcome.INCONCLUSIVE


def test_a_budget_is_asked_though_other_checks_are_named():
    report = verify(slow(1), X, targets=["torchscript"], checks=["parity"], size={"mb": 1e-6})
    assert [(v.check, v.outcome) for v in report.verdicts] == [
        ("parity", Outcome.PASSED),
        ("size", Outcome.FAILED),
    ]
    with pytest.raises(UsageError, match="baseline 'nowhere' is not a folder"):
        verify(
            slow(1),
            X,
            targets=["torchscript"],
            latency={"max_regression": "5%"},
            baseline="nowhere",
        )


def test_a_port_that_is_wrong_is_not_timed(prove):
    class Frozen(nn.Module):
        def forward(self, x):
            return x + float(x.sum())

    report = prove(["torchscript"], Frozen(), X, samples=[(X * 2,)], checks=ASKED)
    assert [verdict.check for verdict in report.verdicts] == ["parity"]


def test_a_port_is_not_timed_beside_other_workers(prove, monkeypatch):
    monkeypatch.setenv("PYTEST_XDIST_WORKER_COUNT", "4")
    verdict = prove(["torchscript"], slow(1), X, checks=ASKED).verdicts[1]
    assert verdict.outcome is Outcome.INCONCLUSIVE
    assert verdict.reason == "not timed: 3 other workers run meanwhile; run it with -n 0"


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_eager_has_as_many_threads_as_the_port(prove, tmp_path, threads):
    """In a fork of a process that has used OpenMP."""
    big = torch.randn(1000, 1000)
    (big @ big).sin()

    class Noted(nn.Module):
        def forward(self, x):
            with (tmp_path / "threads").open("a") as file:
                file.write(f"{torch.get_num_threads()}\n")
            return (x @ x).sin()

    asked = {"checks": ASKED, "threads": threads, "latency": {"speedup_vs_eager": 0.01}}
    verdicts = prove(["torchscript"], Noted(), big, **asked).verdicts
    assert [verdict.outcome for verdict in verdicts] == [Outcome.PASSED] * 3
    assert verdicts[1].evidence["threads"] == threads
    timed = (tmp_path / "threads").read_text().split()[-20:]
    assert set(timed) == {str(threads)}


def test_a_port_that_dies_while_it_is_timed_is_red(prove):
    class Fourth(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.calls = 0

        def forward(self, x):
            self.calls += 1
            if self.calls > 4:
                os._exit(7)
            return x * 2

    verdicts = prove(["torch_compile(backend=eager)"], Fourth(), X, checks=ASKED).verdicts
    assert [verdict.outcome for verdict in verdicts] == [Outcome.PASSED, Outcome.CRASHED]
    assert verdicts[1].reason == "exit status 7 in timing the exported model"


def test_the_subject_is_not_changed_by_being_timed(prove):
    model = slow(1)
    before = copy.deepcopy(model.state_dict())
    prove(["torchscript"], model, X, checks=ASKED)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
