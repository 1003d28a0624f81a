from __future__ import annotations

import contextvars

import pytest
import torch

from pytest_modelport.isolation.jobs import Done, run
from pytest_modelport.isolation.threads import on_threads


@pytest.fixture(autouse=True)
def same():
    """torch's number of threads is the process's."""
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


def used():
    """A product that torch shares among its threads."""
    big = torch.randn(600, 600)
    return (big @ big).sin().sum()


@pytest.mark.parametrize("count", [1, 2, 4])
def test_a_fork_of_a_process_that_has_used_openmp_runs_several(tmp_path, count):
    used()

    def job():
        used()
        return torch.get_num_threads()

    assert run(lambda: on_threads(job, count), timeout=60, log=tmp_path / "log") == Done(count)


def test_the_modes_of_the_caller_hold_there():
    said = contextvars.ContextVar("said", default="nothing")
    said.set("something")
    with torch.inference_mode(), torch.device("meta"):
        assert on_threads(
            lambda: (torch.zeros(1).device.type, torch.is_inference_mode_enabled()), 2
        ) == ("meta", True)
    with torch.no_grad():
        assert on_threads(lambda: (torch.is_grad_enabled(), said.get()), 2) == (False, "something")
    assert on_threads(torch.is_grad_enabled, 2)


@pytest.mark.parametrize("raised", [ValueError("no"), SystemExit(3), KeyboardInterrupt()])
def test_what_the_job_raises_is_raised(raised):
    def job():
        raise raised

    with pytest.raises(type(raised)) as caught:
        on_threads(job, 2)
    assert caught.value is raised
