from __future__ import annotations

import dataclasses
import itertools

import numpy as np
import pytest
import torch
from torch import nn

from pytest_modelport import Outcome
from pytest_modelport.core.sample import Call, Sample
from pytest_modelport.isolation import jobs
from pytest_modelport.reference import evaluate, reference, schedule
from pytest_modelport.reference.reference import EVALUATIONS, Reference
from pytest_modelport.reference.schedule import at_once, rounds


@pytest.mark.parametrize(
    ("seeds", "calls", "processes"),
    list(itertools.product([0, 1, 2, 5, 16], [1, 3, 26], [1, 2, 3, 4])),
)
def test_every_call_has_every_evaluation_once(seeds, calls, processes):
    made = rounds(range(seeds), calls, processes, alone=False)
    shares = [(share, seed) for some in made for share in some for seed in share.seeds]
    found = [(seed, call) for share, seed in shares for call in share.of(range(calls))]
    assert sorted(found) == list(itertools.product(range(seeds), range(calls)))
    assert all(len(some) <= processes for some in made)
    files = [(share.file, seed) for share, seed in shares]
    assert len(files) == len(set(files))


def test_a_subject_that_keeps_state_sees_all_calls_in_order():
    [first, second] = rounds(range(3), 5, 2, alone=True)
    assert [(share.seeds, share.of(range(5))) for share in (*first, *second)] == [
        ((seed,), range(5)) for seed in range(3)
    ]


def test_the_processes_are_shared_with_other_workers(monkeypatch):
    monkeypatch.setattr(torch, "get_num_threads", lambda: 6)
    monkeypatch.delenv("PYTEST_XDIST_WORKER_COUNT", raising=False)
    assert at_once(0) == schedule._MOST
    for workers, expected in ((2, 3), (6, 1), (48, 1)):
        monkeypatch.setenv("PYTEST_XDIST_WORKER_COUNT", str(workers))
        assert at_once(0) == expected


def test_a_subject_that_takes_much_memory_is_evaluated_by_one_process(tmp_path, monkeypatch):
    class Large(nn.Module):
        def forward(self, x):
            return x + torch.ones(self.elements)[0]

    monkeypatch.setattr(torch, "get_num_threads", lambda: 6)
    monkeypatch.delenv("PYTEST_XDIST_WORKER_COUNT", raising=False)
    asked = []
    monkeypatch.setattr(
        reference, "rounds", lambda *given, **how: asked.append(given[2]) or rounds(*given, **how)
    )
    module = Large()
    for module.elements in (1, 80_000_000):  # 320 MB
        call = Call(Sample((torch.ones(2),), {}), 0, "a call")
        Reference(module, [call], "cpu", tmp_path, timeout=60, seed=0, evaluations=1)
    assert asked == [schedule._MOST, 1]


@pytest.fixture(scope="module", autouse=True)
def warm():
    """Else each fork imports what torch imports late."""
    evaluate.warm()


class Counter(nn.Module):
    def __init__(self, *, state: bool) -> None:
        super().__init__()
        self.state = state
        self.register_buffer("seen", torch.zeros(1))

    def forward(self, x):
        if self.state:
            self.seen += 0.1
        return (x + self.seen).exp(), x.argmax()


@pytest.mark.parametrize("state", [False, True])
@pytest.mark.parametrize("count", [1, 7])
def test_the_noise_is_the_same_however_many_processes_there_are(
    tmp_path, monkeypatch, state, count
):
    calls = [
        Call(Sample((torch.randn(3 + number),), {}), number, f"call {number}")
        for number in range(5)
    ]

    def noise(processes):
        monkeypatch.setattr(reference, "at_once", lambda _: processes)
        module = Counter(state=state)
        found = Reference(module, calls, "cpu", tmp_path, timeout=60, seed=0, evaluations=count)
        assert found.noise_failure is None
        return [
            (item.noise.worst, item.noise.squares) for step in found.steps for item in step.outputs
        ]

    alone = noise(1)
    for processes in (2, 4):
        for (worst, squares), (expected, counted) in zip(noise(processes), alone, strict=True):
            np.testing.assert_array_equal(worst, expected)
            assert squares == counted
    assert len(alone[0][1]) == count + 1
    assert alone[0][1][1] > 0
    assert not list(tmp_path.glob("noise*"))


def test_one_evaluation_that_dies_is_noise_that_could_not_be_measured(tmp_path, monkeypatch):
    monkeypatch.setattr(reference, "at_once", lambda _: 3)

    class Dies(nn.Module):
        def forward(self, x):
            if (
                torch.utils._python_dispatch._get_current_dispatch_mode() is not None
                and x.shape[0] == 4
            ):
                raise ValueError("not under noise")
            return x.exp()

    calls = [
        Call(Sample((torch.randn(3 + number),), {}), 0, f"call {number}") for number in range(3)
    ]
    found = Reference(Dies(), calls, "cpu", tmp_path, timeout=60, seed=0, evaluations=1)
    assert found.noise_failure is not None
    assert "noise could not be measured" in " ".join(found.notes)


class Cancels(nn.Module):
    """Leaves half of its digits and fewer; in place where it is told to."""

    def __init__(self, *, place: bool, state: bool = False) -> None:
        super().__init__()
        self.place, self.state = place, state
        self.register_buffer("seen", torch.zeros(1))

    def forward(self, x):
        self.seen += self.state
        y = (x.exp() * 300 + 12000) - 12000
        if not self.place:
            return y
        x.copy_(y)
        return x.sum() * 0 + 1


class Chaos(nn.Module):
    """A logistic map: the last digit decides."""

    def forward(self, x):
        x = torch.sigmoid(x)
        for _ in range(60):
            x = 3.9 * x * (1 - x)
        return x


def test_large_noise_that_is_cancellation_is_a_measure(prove):
    verdict = prove(
        ["onnx"],
        Cancels(place=False),
        torch.randn(400_000, generator=torch.Generator().manual_seed(0)) - 6,
        checks=["parity"],
    ).verdicts[0]
    assert verdict.outcome is Outcome.PASSED
    assert verdict.evidence["comparison"]["error"] > 0
    assert (
        verdict.evidence["comparison"]["noise"]
        > 3.5e-4 * verdict.evidence["comparison"]["magnitude"]
    )


@pytest.mark.parametrize("state", [False, True])
def test_coarser_rounding_is_asked_for_one_call_and_what_it_changes(tmp_path, monkeypatch, state):
    """Under the name that the port has for the input, too."""
    asked = []
    monkeypatch.setattr(
        evaluate,
        "noisy",
        lambda *given, real=evaluate.noisy, **how: (
            asked.append(len(given[1])) or real(*given, **how)
        ),
    )
    monkeypatch.setattr(jobs, "forks", lambda: False)
    calls = [Call(Sample((torch.randn(400) - 6,), {}), 0, f"call {number}") for number in range(3)]
    found = Reference(
        Cancels(place=True, state=state), calls, "cpu", tmp_path, timeout=60, seed=0, evaluations=2
    )
    asked.clear()
    for _ in range(2):
        item = dataclasses.replace(found.steps[1].mutated[0], name="x")
        assert 10 < found.amplified(1, item, 16.0) / item.noise.rms < 25
    assert set(asked) == ({3} if state else {1})
    assert len(asked) <= EVALUATIONS


def test_large_noise_that_is_chaos_is_none(prove):
    verdict = prove(["onnx"], Chaos(), torch.randn(40), checks=["parity"]).verdicts[0]
    assert verdict.outcome is Outcome.INCONCLUSIVE
    assert "is not decidable" in verdict.reason
