"""Rooms that have the subject: forks, and this process where there are none."""

from __future__ import annotations

import os
import signal
import time

import pytest
import torch
from torch import nn

from pytest_modelport import Outcome, Stage, verify
from pytest_modelport.backends.runtimes import torch_jit
from pytest_modelport.core.verdict import worst
from pytest_modelport.isolation import jobs
from tests.processes import children


class Counter(nn.Module):
    """Keeps state, and misbehaves where it is told to."""

    def __init__(self, fault: str = "", beyond: int = 99) -> None:
        super().__init__()
        self.linear = nn.Linear(2, 2)
        self.register_buffer("seen", torch.zeros(1))
        self.parent, self.fault, self.beyond = os.getpid(), fault, beyond

    def __setstate__(self, state):
        super().__setstate__(state)
        self.is_port = True  # a copy: what `state_dict` is loaded into

    def forward(self, x):
        self.seen += 1
        if getattr(self, "is_port", False) and self.fault:
            if self.fault == "hang":
                time.sleep(60)
            elif self.fault == "crash":
                os.kill(os.getpid(), signal.SIGSEGV)
            else:
                raise ValueError("not today")
        return self.linear(x) + self.seen


X = torch.ones(1, 2)


def test_state_is_carried_and_the_subject_is_not_touched(prove):
    model = Counter()
    assert prove(["state_dict"], model, X, samples=[X]).passed
    assert model.seen.item() == 0


@pytest.mark.parametrize(
    ("fault", "outcome", "reason"),
    [
        ("crash", Outcome.CRASHED, "SIGSEGV in running the exported model on args"),
        ("hang", Outcome.TIMEOUT, "more than 3 s in running the exported model on args"),
        (
            "raise",
            Outcome.FAILED,
            "running the exported model on args fails: ValueError: not today",
        ),
    ],
)
def test_crashes_hangs_and_refusals_are_outcomes_and_leave_nothing_behind(
    prove, fault, outcome, reason
):
    before = set(children(os.getpid()))
    verdict = prove(["state_dict"], Counter(fault), X, timeout=3, checks=["parity"]).verdicts[0]
    assert (verdict.outcome, verdict.stage) == (outcome, Stage.RUN)
    assert reason in verdict.reason
    assert set(children(os.getpid())) <= before


@pytest.mark.parametrize("target", ["state_dict", "torch_compile(backend=aot_eager)"])
def test_without_a_fork_it_is_the_same(prove, monkeypatch, target):
    from pytest_modelport.engine import build_case
    from pytest_modelport.workbench import sessions

    for module in (jobs, sessions, build_case):
        monkeypatch.setattr(module, "forks", lambda: False)
    model = Counter()
    generator, threads = torch.get_rng_state(), torch.get_num_threads()
    assert prove([target], model, X, samples=[X + 1]).passed
    assert model.seen.item() == 0
    assert torch.equal(torch.get_rng_state(), generator)
    assert torch.get_num_threads() == threads
    verdict = worst(prove([target], Counter("raise"), X).verdicts)
    assert (
        "state_dict" not in target
        or verdict.reason == "running the exported model on args fails: ValueError: not today"
    )


class Forgetful(nn.Module):
    """A weight that `state_dict()` does not have, and that every instance draws anew."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(2, 2)
        self.register_buffer("shift", torch.randn(2), persistent=False)

    def forward(self, x):
        return self.linear(x) + self.shift


def test_what_a_state_dict_does_not_carry_shows_with_a_factory(prove):
    verdict = worst(prove(["state_dict"], Forgetful, X).verdicts)
    assert (verdict.check, verdict.outcome) == ("parity", Outcome.FAILED)


class Scaled(nn.Module):
    """Keeps a tensor that is neither a parameter nor a buffer."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(2, 2)
        self.scale = torch.full((2,), 3.0)

    def forward(self, x):
        return self.linear(x) * self.scale


def test_tensors_outside_the_state_dict_are_named(prove):
    report = prove(["state_dict"], Scaled(), X)
    assert report.passed
    assert any("not in the state dict: scale" in note for note in report.verdicts[0].notes)
    assert prove(["state_dict"], Scaled, X).passed


class Extra(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(2, 2)

    def forward(self, x):
        return self.linear(x)

    def state_dict(self, *args, **kwargs):
        found = super().state_dict(*args, **kwargs)
        found.pop("linear.bias", None)
        return found


def test_a_state_dict_that_lacks_a_weight_is_refused(prove):
    verdict = worst(prove(["state_dict"], Extra(), X).verdicts)
    assert verdict.outcome is Outcome.FAILED
    assert verdict.stage is Stage.OPEN
    assert "Missing key(s)" in str(verdict.evidence["cause"])


def test_a_port_runs_here_for_a_debugger(monkeypatch):
    opened, really = [], torch_jit.open
    monkeypatch.setattr(
        torch_jit, "open", lambda *given: opened.append(os.getpid()) or really(*given)
    )
    assert verify(nn.Linear(2, 2), X, targets=["torchscript"]).passed
    assert opened == []
    assert verify(nn.Linear(2, 2), X, targets=["torchscript"], in_process=True).passed
    assert opened == [os.getpid()]


def test_a_gpus_shorter_products_are_recorded(monkeypatch):
    """Whether TF32 is on is part of what was proven; reading it needs no GPU."""
    from pytest_modelport.backends.kit.torch_session import TorchSession
    from pytest_modelport.backends.session_options import SessionOptions
    from pytest_modelport.core.artifact import Manifest

    manifest = Manifest("torchscript", "torchscript", "model.pt", "natural", (), ())
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", False)
    gpu = TorchSession(nn.ReLU(), manifest, SessionOptions("cuda:0")).options
    assert (gpu["matmul_tf32"], gpu["cudnn_tf32"]) == (False, False)
    assert "cudnn_tf32" not in TorchSession(nn.ReLU(), manifest, SessionOptions()).options


def test_several_threads_where_the_session_has_used_them(prove):
    """They hung in a fork's main thread: a pool of threads does not survive a fork."""
    big = torch.randn(500, 500)
    (big @ big).sin()
    model = nn.Sequential(nn.Linear(500, 500), nn.Tanh(), nn.Linear(500, 500)).eval()
    for target in ("state_dict", "torch_compile(backend=aot_eager)"):
        assert prove([target], model, big, threads=2, timeout=60).passed
