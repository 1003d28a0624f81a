"""Times and memory of a GPU, by stand-ins for one: the order of calls, what is made of the
figures, and every refusal.
"""

from __future__ import annotations

import sys
from types import SimpleNamespace

import pynvml
import pytest
import torch

from pytest_modelport import Outcome, Route, Stage
from pytest_modelport.backends.kit.torch_session import OnGpu, completed
from pytest_modelport.checks import latency, memory
from pytest_modelport.checks._latency_gpu import GpuState, gpu_state, watched
from pytest_modelport.checks._latency_runs import Runs, runs
from pytest_modelport.cleanroom.stopwatch import Lap, allocated, laps
from pytest_modelport.core.verdict import Verdict

COOL = GpuState("H0", "600.1", 1980, 1980, ())
HOT = GpuState("H0", "600.1", 900, 1980, ("HwThermalSlowdown",))


@pytest.fixture
def driver(monkeypatch):
    """One that answers for a GPU with these reasons for its clock."""

    def set_(*reasons):
        bits = sum(getattr(pynvml, f"nvmlClocksEventReason{name}") for name in reasons)
        asked = []
        monkeypatch.setattr(
            torch.cuda, "_get_pynvml_handler", lambda index: asked.append(index) or "handle"
        )
        monkeypatch.setattr(pynvml, "nvmlDeviceGetCurrentClocksEventReasons", lambda handle: bits)
        monkeypatch.setattr(pynvml, "nvmlDeviceGetName", lambda handle: "H0")
        monkeypatch.setattr(pynvml, "nvmlSystemGetDriverVersion", lambda: "600.1")
        monkeypatch.setattr(
            pynvml, "nvmlDeviceGetClockInfo", lambda handle, kind: {pynvml.NVML_CLOCK_SM: 900}[kind]
        )
        monkeypatch.setattr(
            pynvml,
            "nvmlDeviceGetMaxClockInfo",
            lambda handle, kind: {pynvml.NVML_CLOCK_SM: 1980}[kind],
        )
        return asked

    return set_


def test_the_driver_says_what_the_clock_is_and_why(driver):
    asked = driver("SwPowerCap", "HwThermalSlowdown")
    assert gpu_state("cuda:1") == GpuState(
        "H0", "600.1", 900, 1980, ("HwThermalSlowdown", "SwPowerCap")
    )
    gpu_state("cuda")
    assert asked == [1, 0]  # without an index torch would start CUDA to find the current one
    assert watched("cuda") == "H0 runs at 900 of 1980 MHz: it is too hot"
    assert watched("cpu") == ""


@pytest.mark.parametrize("own", ["SwPowerCap", "ApplicationsClocksSetting", "GpuIdle"])
def test_what_the_port_would_meet_on_any_such_gpu_is_not_held_against_it(driver, own):
    driver(own)
    assert gpu_state("cuda").limits == (own,)
    assert watched("cuda") == ""


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_without_a_driver_it_says_so_and_leaves_cuda_alone():
    assert str(gpu_state("cuda")).startswith("not known: ")
    assert watched("cuda") == ""
    assert not torch.cuda.is_initialized()


def test_without_its_library_it_says_how_to_have_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "pynvml", None)
    assert (
        gpu_state("cuda") == "not known without nvidia-ml-py: pip install 'pytest-modelport[nvml]'"
    )


def test_a_call_on_a_gpu_is_between_two_events_and_waits(monkeypatch):
    done = []

    class Event:
        def __init__(self, enable_timing):
            assert enable_timing
            self.name = len(done)
            done.append("event")

        def record(self, stream):
            done.append(f"{self.name} on {stream}")

        def elapsed_time(self, other):
            assert (self.name, other.name) == (0, 1)
            return 2.5

    monkeypatch.setattr(torch.cuda, "current_stream", lambda device: f"stream of {device}")
    monkeypatch.setattr(torch.cuda, "Event", Event)
    monkeypatch.setattr(torch.cuda, "synchronize", lambda device: done.append(f"wait for {device}"))
    call = completed(lambda: done.append("call") or "answer", "cuda:1")
    assert isinstance(call, OnGpu)
    assert call() == "answer"
    assert done == [
        "event",
        "event",
        "0 on stream of cuda:1",
        "call",
        "1 on stream of cuda:1",
        "wait for cuda:1",
    ]
    [lap] = laps(call, 1)
    assert lap.gpu == 0.0025
    assert Lap(*lap.to_list()) == lap
    assert completed(print, "cpu") is print
    assert laps(lambda: None, 1)[0].gpu is None


class OnGpuTimed:
    def laps(self, count, warm=0):
        return [Lap(0.004, 0.001, 0, 0.003)] * count


def test_runs_on_a_gpu_tell_its_own_time_and_what_speaks_against_it():
    quiet = runs(OnGpuTimed(), 60, 5.0, alone=False)
    assert (quiet.gpu, quiet.busy) == (0.003, "")
    seen = iter(["", "it is too hot", ""])
    hot = runs(OnGpuTimed(), 60, 5.0, alone=False, watch=lambda: next(seen))
    assert hot.busy == "it is too hot"
    assert (
        Runs(((Lap(1, 1, 0, 0.5), Lap(1, 1, 0)),), alone=False).gpu is None
    )  # some have none: no figure for all
    assert latency._percentile(quiet, 0.5, 1.0)[0] is Outcome.FAILED
    assert latency._percentile(hot, 0.5, 1.0)[0] is Outcome.INCONCLUSIVE


def told(check, device, **workbench):
    """What a check says, of a workbench that answers so."""

    def verdict(name, stage, outcome, reason, evidence=None, notes=()):
        return Verdict(route, name, stage, outcome, reason, evidence=evidence or {}, notes=notes)

    route = Route("torch_export", device=device)
    case = SimpleNamespace(
        budgets=SimpleNamespace(memory_mb=10.0, latency=SimpleNamespace(percentiles={0.5: 9.0})),
        threads=1,
    )
    return list(check(SimpleNamespace(route=route, case=case, verdict=verdict, **workbench)))


def test_a_verdict_says_the_gpus_part_of_the_time(monkeypatch):
    monkeypatch.setattr(
        latency._latency_gpu, "watched", lambda device: "" if device == "cuda" else 1 / 0
    )
    monkeypatch.setattr(latency._latency_gpu, "gpu_state", lambda device: COOL)
    about = {"first_ms": 1, "load_ms": 2, **latency._gpu("cuda")}
    [verdict] = told(lambda workbench: [latency._absolute(workbench, OnGpuTimed(), about)], "cuda")
    assert verdict.outcome is Outcome.PASSED
    assert "p50 is 4 ms (4 to 4), the budget is 9 ms; 3 ms of it on the GPU; " in verdict.reason
    assert verdict.evidence["card_ms"] == 3
    assert verdict.evidence["card"]["sm_mhz"] == 1980
    assert verdict.evidence["l2"] == "warm"
    assert Verdict.from_dict(verdict.to_dict()).evidence == verdict.evidence
    assert latency._gpu("cpu") == {}
    monkeypatch.setattr(latency._latency_gpu, "watched", lambda device: HOT.fault)
    [verdict] = told(lambda workbench: [latency._absolute(workbench, OnGpuTimed(), about)], "cuda")
    assert "the machine was busy: H0 runs at 900 of 1980 MHz: it is too hot" in verdict.reason


@pytest.mark.parametrize(
    ("device", "took", "outcome", "said"),
    [
        ("cuda", (0, 10**9, 4_000_000), Outcome.PASSED, "4 MB of cuda at most"),
        ("cuda", (0, 0, 40_000_000), Outcome.FAILED, "40 MB of cuda at most, the budget is 10 MB"),
        (
            "cuda",
            (0, 0, None),
            Outcome.INCONCLUSIVE,
            "memory on cuda is unknown: exported_program does not allocate",
        ),
        (
            "cpu",
            (10**9, 10**9 + 10**6, None),
            Outcome.PASSED,
            "1 MB more than before it was opened",
        ),
    ],
)
def test_a_gpus_memory_is_what_torch_held_of_it(device, took, outcome, said):
    [verdict] = told(memory.run, device, memory=lambda calls: took, runtime="exported_program")
    assert (verdict.stage, verdict.outcome) == (Stage.BUDGET, outcome)
    assert verdict.reason.startswith(said)


def test_the_allocators_highest_is_asked_once(monkeypatch):
    assert allocated("cpu") is None
    assert torch.cuda.is_initialized() or allocated("cuda") is None
    forgotten = []
    monkeypatch.setattr(torch.cuda, "is_initialized", lambda: True)
    monkeypatch.setattr(torch.cuda, "max_memory_allocated", {"cuda:1": 7}.get)
    monkeypatch.setattr(torch.cuda, "reset_peak_memory_stats", forgotten.append)
    assert (allocated("cuda:1"), forgotten) == (7, ["cuda:1"])


@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU")
def test_a_real_gpu_tells_its_time():  # pragma: no cover - where there is one
    call = completed(lambda: torch.ones(1 << 24, device="cuda").sum(), "cuda")
    [lap] = laps(call, 1, warm=3)
    assert 0 < lap.gpu < lap.wall
    assert allocated("cuda") > 1 << 25
    assert isinstance(gpu_state("cuda"), GpuState)
