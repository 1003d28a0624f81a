from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time

import pytest
import torch
from torch import nn

from pytest_modelport.isolation import jobs
from pytest_modelport.isolation.jobs import Crashed, Done, Raised, TimedOut, run, run_all
from tests.processes import children, gone


@pytest.fixture(params=["fork", "inline"])
def way(request, monkeypatch):
    """Both ways of running a job."""
    if request.param == "inline":
        monkeypatch.setattr(jobs, "forks", lambda: False)
    return request.param


def test_a_result_comes_back_through_json(way, tmp_path):
    assert run(lambda: {"a": [1, None]}, timeout=20, log=tmp_path / "log") == Done({"a": [1, None]})


def test_an_exception_comes_back_as_its_cause(way, tmp_path):
    def job():
        raise ValueError("no such thing")

    ending = run(job, timeout=20, log=tmp_path / "log")
    assert isinstance(ending, Raised)
    assert ending.cause.headline == "ValueError: no such thing"
    assert "in job" in ending.cause.text


def test_what_a_job_prints_goes_to_its_log(way, tmp_path, capfd):
    run(lambda: print("hello"), timeout=20, log=tmp_path / "log")
    assert (tmp_path / "log").read_text() == "hello\n"
    assert capfd.readouterr().out == ""


def test_the_subject_is_as_before(way, tmp_path):
    module = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2))
    module.register_buffer("n", torch.zeros(1))
    module.extra = [1]
    before = {key: value.clone() for key, value in module.state_dict().items()}
    rng = torch.get_rng_state()

    def job():
        with torch.no_grad():
            module[0].weight.fill_(7)
            module.n += 1
        module.extra.append(2)
        module.new = "attribute"
        module.eval()
        torch.randn(3)
        raise RuntimeError("half way")

    assert isinstance(run(job, timeout=20, log=tmp_path / "log", restore=module), Raised)
    assert all(torch.equal(value, before[key]) for key, value in module.state_dict().items())
    assert module.training
    assert module.extra == [1]
    assert not hasattr(module, "new")
    assert torch.equal(torch.get_rng_state(), rng)


@pytest.mark.parametrize("number", [signal.SIGSEGV, signal.SIGABRT, signal.SIGKILL])
def test_a_death_is_an_ending(tmp_path, number):
    ending = run(lambda: os.kill(os.getpid(), number), timeout=20, log=tmp_path / "log")
    assert isinstance(ending, Crashed)
    assert ending.signal == number.name


def test_leaving_early_is_a_crash(tmp_path):
    assert run(lambda: os._exit(0), timeout=20, log=tmp_path / "log") == Crashed(
        "exit status 0", ""
    )
    assert run(lambda: os._exit(3), timeout=20, log=tmp_path / "log") == Crashed(
        "exit status 3", ""
    )


def test_a_hang_says_where_it_was_and_is_killed_with_its_children(tmp_path):
    pid_file = tmp_path / "pid"

    def job():
        child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
        pid_file.write_text(str(child.pid))
        print("about to wait", flush=True)
        time.sleep(60)

    started = time.monotonic()
    ending = run(job, timeout=2, log=tmp_path / "log")
    assert isinstance(ending, TimedOut)
    said, where, *_ = ending.tail.splitlines()
    assert (ending.seconds, said) == (2, "about to wait")
    assert where.endswith(" in job"), ending.tail
    assert time.monotonic() - started < 20
    assert gone(int(pid_file.read_text()))


def test_a_job_that_uses_torch_threads_after_the_parent_did(tmp_path):
    x = torch.randn(300, 300)
    for _ in range(3):
        x @ x
    assert run(lambda: float((x @ x).shape[0]), timeout=60, log=tmp_path / "log") == Done(300.0)


def test_a_job_may_compile_after_the_parent_did(tmp_path):
    """torch's pool of threads is the parent's: waiting for it would be for ever."""
    from torch._inductor import config
    from torch._inductor.async_compile import AsyncCompile

    def compiling() -> int:
        return AsyncCompile.pool().submit(lambda: 2).result()

    with config.patch(compile_threads=2):
        assert compiling() == 2
        assert run(compiling, timeout=30, log=tmp_path / "log") == Done(2)


def test_ctrl_c_ends_the_child_too(tmp_path):
    pid_file = tmp_path / "pid"

    def job():
        pid_file.write_text(str(os.getpid()))
        time.sleep(60)

    def interrupt():
        while not pid_file.exists() or not pid_file.read_text():
            time.sleep(0.05)
        os.kill(os.getpid(), signal.SIGINT)

    threading.Thread(target=interrupt).start()
    with pytest.raises(KeyboardInterrupt):
        run(job, timeout=60, log=tmp_path / "log")
    assert gone(int(pid_file.read_text()))


def test_a_killed_session_leaves_no_child(tmp_path):
    code = f"""
import os, time
from pathlib import Path
from pytest_modelport.isolation.jobs import run
def job():
    Path({str(tmp_path / "pid")!r}).write_text(str(os.getpid()))
    time.sleep(60)
run(job, timeout=60, log=Path({str(tmp_path / "log")!r}))
"""
    session = subprocess.Popen([sys.executable, "-c", code])
    while not (tmp_path / "pid").exists() or not (tmp_path / "pid").read_text():
        time.sleep(0.05)
    session.kill()
    session.wait()
    assert gone(int((tmp_path / "pid").read_text()))


def test_a_folder_that_cannot_be_written_is_an_error_of_the_session(tmp_path):
    with pytest.raises(OSError, match="log"):
        run(lambda: None, timeout=5, log=tmp_path / "missing" / "log")


def test_several_jobs_run_at_the_same_time(tmp_path):
    """Each is ready only when the others have begun."""

    def job(number):
        (tmp_path / str(number)).touch()
        until = time.monotonic() + 20
        while not all((tmp_path / str(other)).exists() for other in range(3)):
            assert time.monotonic() < until
            time.sleep(0.01)
        return number

    endings = run_all(
        [lambda number=number: job(number) for number in range(3)], timeout=60, log=tmp_path / "log"
    )
    assert endings == [Done(0), Done(1), Done(2)]


def test_one_of_several_jobs_ends_badly_and_the_others_well(tmp_path):
    def late():
        time.sleep(60)

    def dead():
        os.kill(os.getpid(), signal.SIGKILL)

    def wrong():
        raise ValueError("no")

    before = set(children(os.getpid()))
    endings = run_all([late, dead, wrong, lambda: 7], timeout=2, log=tmp_path / "log")
    assert [type(ending) for ending in endings] == [TimedOut, Crashed, Raised, Done]
    assert set(children(os.getpid())) <= before


def test_ctrl_c_ends_all_jobs(tmp_path):
    before = set(children(os.getpid()))
    threading.Timer(1, os.kill, (os.getpid(), signal.SIGINT)).start()
    with pytest.raises(KeyboardInterrupt):
        run_all([lambda: time.sleep(60)] * 3, timeout=60, log=tmp_path / "log")
    assert set(children(os.getpid())) <= before
