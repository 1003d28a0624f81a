"""Run a job so that nothing it does reaches this process: in a fork where that is safe, else here.

Why a fork: torch's export state differs between a first and a second export of one process,
exporters crash and hang, and both exporting and running a model may change it. A fork starts from
the session's exact state and takes every side effect with it. OpenMP hangs in the main thread of a
fork of a process that has used it, so the child runs one thread (`threads.py`).
"""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import re
import select
import signal
import sys
import time
import traceback
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from pytest_modelport.core.cause import Cause, describe
from pytest_modelport.core.package import ROOT
from pytest_modelport.isolation.fork import ask_where, enter_child, fork

if TYPE_CHECKING:
    from torch import nn

Job = Callable[[], Any]
_TAIL_LINES = 12
#: A line of faulthandler's stack, which begins with the last call.
_FRAME = re.compile(r'  File ".*", line \d+ in ')
#: What faulthandler adds to every crash.
_NO_NEWS = (
    "Extension modules:",
    "Current thread",
    "Thread 0x",
    "Stack (most",
    "  <no Python frame>",
)


@dataclass(frozen=True)
class Done:
    """The job returned; `value` went through JSON."""

    value: Any


@dataclass(frozen=True)
class Raised:
    """The job raised. told: what a runtime printed of why."""

    cause: Cause
    told: str = ""


@dataclass(frozen=True)
class Crashed:
    """The job's process died. `signal` is its name, or `exit status N`. told: what a runtime
    printed of why.
    """

    signal: str
    tail: str
    told: str = ""


@dataclass(frozen=True)
class TimedOut:
    """The job's process was killed after `seconds`."""

    seconds: float
    tail: str


Ending = Done | Raised | Crashed | TimedOut


def forks() -> bool:
    """Whether jobs run in a fork: POSIX without macOS (its system libraries do not survive one),
    CUDA not yet in use.
    """
    if not hasattr(os, "fork") or sys.platform == "darwin":
        return False
    torch = sys.modules.get("torch")
    return torch is None or not torch.cuda.is_initialized()


def tail(log: Path) -> str:
    """The last lines a process wrote before it died, and of its stack what was called last: up to
    our own frames, without lists of loaded modules.
    """
    try:
        lines = log.read_text(errors="replace").splitlines()
    except FileNotFoundError:
        return ""
    ours, said, caller = str(ROOT), list[str](), False
    for line in lines:
        caller = _FRAME.match(line) is not None and (caller or ours in line)
        if line.strip() and ours not in line and not caller and not line.startswith(_NO_NEWS):
            said.append(line)
    frames = sum(1 for _ in itertools.takewhile(_FRAME.match, reversed(said)))
    said, stack = said[: len(said) - frames], said[len(said) - frames :][: _TAIL_LINES // 2]
    return "\n".join([*said[-(_TAIL_LINES - len(stack)) :], *stack])


def signal_name(status: int) -> str:
    """A wait status or negative return code in words: `SIGABRT`, `exit status 3`."""
    if status < 0:
        try:
            return signal.Signals(-status).name
        except ValueError:
            return f"signal {-status}"
    return f"exit status {status}"


def run(
    job: Job,
    *,
    timeout: float,
    log: Path,
    paths: Mapping[int, str] | None = None,
    restore: nn.Module | None = None,
    here: bool = False,
) -> Ending:
    """Run `job` and say how it ended.

    job: returns JSON values. timeout: seconds; not enforced where there is no fork. log: receives
    what the job prints. paths: `id(submodule)` -> path, to name the place of an exception. restore:
    the module to put back as it was afterwards, where there is no fork to throw away. here: in this
    process and with its own output, for a debugger.
    """
    if here:
        return _inline(job, contextlib.nullcontext(), paths, restore)
    return run_all([job], timeout=timeout, log=log, paths=paths, restore=restore)[0]


def run_all(
    jobs: Sequence[Job],
    *,
    timeout: float,
    log: Path,
    paths: Mapping[int, str] | None = None,
    restore: nn.Module | None = None,
) -> list[Ending]:
    """`run` for several jobs, at the same time where each is a fork. timeout: for each of them."""
    if forks():
        return _forked(jobs, timeout, log, paths)
    return [_inline(job, _into(log), paths, restore) for job in jobs]


def inside(job: Job, *, log: Path, restore: nn.Module) -> Done | Raised:
    """Run `job` in this process; its value may be anything. What it prints is logged; generators
    and module are put back.
    """
    return _inline(job, _into(log), None, restore)


def _attempt(job: Job, paths: Mapping[int, str] | None) -> dict[str, Any]:
    with warnings.catch_warnings(record=True) as caught:
        # Under pytest's `filterwarnings = error` an exporter's advice would end the export.
        warnings.simplefilter("default")
        try:
            return {"done": job()}
        except Exception as error:  # noqa: BLE001 - a stage border: the cause is kept whole
            return {"raised": describe(error, paths).to_dict()}
        finally:
            for item in caught:
                sys.stderr.write(
                    warnings.formatwarning(item.message, item.category, item.filename, item.lineno)
                )


def _ending(result: Mapping[str, Any]) -> Done | Raised:
    return Raised(Cause.from_dict(result["raised"])) if "raised" in result else Done(result["done"])


@contextlib.contextmanager
def _into(log: Path) -> Iterator[None]:
    """What Python prints goes into the log."""
    with log.open("a") as file, contextlib.redirect_stdout(file), contextlib.redirect_stderr(file):
        yield


def _inline(
    job: Job,
    output: AbstractContextManager[None],
    paths: Mapping[int, str] | None,
    restore: nn.Module | None,
) -> Done | Raised:
    from pytest_modelport.core.tensors import restored_rng
    from pytest_modelport.subject.snapshot import Snapshot

    before = Snapshot(restore) if restore is not None else None
    try:
        with output, restored_rng():
            return _ending(_attempt(job, paths))
    finally:
        if before is not None:
            before.restore()


def _forked(
    jobs: Sequence[Job], timeout: float, log: Path, paths: Mapping[int, str] | None
) -> list[Ending]:
    log.touch()  # a folder that cannot be written is found here, not in the child
    running: list[tuple[int, int]] = []
    endings: list[Ending] = []
    try:
        running += (_begun(job, log, paths) for job in jobs)
        deadline = time.monotonic() + timeout
        while running:
            endings.append(_ended(*running[0], deadline, timeout, log))
            os.close(running.pop(0)[1])
    finally:
        for child, reader in running:
            _kill(child)
            os.close(reader)
    return endings


def _begun(job: Job, log: Path, paths: Mapping[int, str] | None) -> tuple[int, int]:
    """A child that does the job, and the end of a pipe where it says how that ended."""
    parent = os.getpid()
    reader, writer = os.pipe()
    child = fork()
    if child == 0:
        os.close(reader)
        _child(job, parent, writer, log, paths)
    os.close(writer)
    return child, reader


def _ended(child: int, reader: int, deadline: float, timeout: float, log: Path) -> Ending:
    text = _receive(reader, deadline)
    if text is None:
        ask_where(child, log)
        _kill(child)
        return TimedOut(timeout, tail(log))
    _, status = os.waitpid(child, 0)
    code = os.waitstatus_to_exitcode(status)
    _kill_group(child)
    if code != 0 or not text:
        return Crashed(signal_name(code), tail(log))
    return _ending(json.loads(text))


def _receive(reader: int, deadline: float) -> bytes | None:
    """Everything the child wrote until it closed its end; None when the deadline came first."""
    chunks: list[bytes] = []
    while True:
        if not select.select([reader], [], [], max(deadline - time.monotonic(), 0))[0]:
            return None
        chunk = os.read(reader, 1 << 16)
        if not chunk:
            return b"".join(chunks)
        chunks.append(chunk)


def _kill_group(child: int) -> None:
    """End what the child itself started (compilers, pools)."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(child, signal.SIGKILL)


def _kill(child: int) -> None:
    _kill_group(child)
    with contextlib.suppress(ProcessLookupError):
        os.kill(child, signal.SIGKILL)
    with contextlib.suppress(ChildProcessError):
        os.waitpid(child, 0)


def _child(
    job: Job, parent: int, writer: int, log: Path, paths: Mapping[int, str] | None
) -> NoReturn:
    """The fork's whole life. Leaves by `os._exit`: the session's exit handlers are not the child's
    to run.
    """
    status = 1
    try:
        enter_child(parent, log)
        data = json.dumps(_attempt(job, paths)).encode()
        with os.fdopen(writer, "wb") as file:
            file.write(data)
        status = 0
    except BaseException:  # noqa: BLE001 - nothing may leave this process; the parent sees a crash and the log says why
        with contextlib.suppress(OSError), log.open("a") as file:
            traceback.print_exc(file=file)
    finally:
        with contextlib.suppress(Exception):
            sys.stderr.flush()
        os._exit(status)
