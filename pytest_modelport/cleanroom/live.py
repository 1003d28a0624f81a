"""Rooms for runtimes that need the subject's own code (`torch.compile`, a state dict): forks of the session.

A fork has the subject as it is and takes what happens to it along when it ends. It speaks the clean room's protocol, so limits,
crashes and hangs are outcomes here too.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import time
import traceback
import warnings
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import IO, Any, NoReturn, TypeVar

from pytest_modelport.cause import describe
from pytest_modelport.cleanroom.room import Process, Room, RoomEnded
from pytest_modelport.cleanroom.worker import Worker, opened, seeded
from pytest_modelport.contract import Session, Subject
from pytest_modelport.feed import Answer, Feed
from pytest_modelport.forking import enter_child, fork
from pytest_modelport.isolate import Raised
from pytest_modelport.setting import Setting
from pytest_modelport.stopwatch import Lap, laps, prepared
from pytest_modelport.threads import on_threads
from pytest_modelport.wire import Array

T = TypeVar("T")


class LiveRoom(Room):
    """A room in a fork, where torch runs so many threads."""

    def __init__(self, scratch: Path, subject: Subject, threads: int = 1) -> None:
        super().__init__(scratch, threads=threads)
        self._subject, self._threads = subject, threads

    def _started(self) -> Process:
        return _Fork(self._subject, self.log, self._threads)


class _Fork:
    """A child that serves requests until its pipe is closed; the part of `subprocess.Popen` that a room needs."""

    def __init__(self, subject: Subject, log: Path, threads: int) -> None:
        log.touch()
        requests, self_in = os.pipe()
        self_out, replies = os.pipe()
        parent = os.getpid()
        self.pid = fork()
        if self.pid == 0:
            os.close(self_in)
            os.close(self_out)
            _serve(subject, parent, requests, replies, log, threads)
        os.close(requests)
        os.close(replies)
        self.stdin: IO[bytes] | None = os.fdopen(self_in, "wb", buffering=0)
        self.stdout: IO[bytes] | None = os.fdopen(self_out, "rb", buffering=0)
        self._status: int | None = None

    @property
    def returncode(self) -> int | None:
        return self._status

    def poll(self) -> int | None:
        if self._status is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            self._status = os.waitstatus_to_exitcode(status) if pid else None
        return self._status

    def wait(self, timeout: float | None = None) -> int:
        deadline = time.monotonic() + timeout if timeout is not None else None
        while (status := self.poll()) is None:
            if deadline is not None and time.monotonic() > deadline:
                raise subprocess.TimeoutExpired("fork", timeout or 0.0)
            time.sleep(0.01)
        return status


def _serve(subject: Subject, parent: int, requests: int, replies: int, log: Path, threads: int) -> NoReturn:
    """The fork's whole life."""
    status = 1
    try:
        enter_child(parent, log)
        warnings.resetwarnings()  # under pytest's `filterwarnings = error` a compiler's advice would end the port
        on_threads(lambda: Worker(subject).serve(os.fdopen(requests, "rb"), os.fdopen(replies, "wb")), threads)
        status = 0
    except BaseException:  # noqa: BLE001 - nothing may leave this process; the session sees it end and the log says why
        traceback.print_exc()
    finally:
        os._exit(status)


class InProcess:
    """For a debugger, and where nothing can be forked: the same in this process, without limits. The subject is put back."""

    def __init__(self, subject: Subject) -> None:
        self._subject = subject

    @contextlib.contextmanager
    def open(self, runtime: str, folder: Path, setting: Setting, timeout: float) -> Iterator[LocalSession]:  # noqa: ARG002
        """As `Room.open`."""
        import torch

        from pytest_modelport.snapshot import Snapshot
        from pytest_modelport.tensors import restored_rng

        before, running = Snapshot(self._subject.module), torch.get_num_threads()
        with restored_rng(), warnings.catch_warnings():
            warnings.resetwarnings()
            try:
                started = time.perf_counter()
                session = _attempted(lambda: opened(runtime, folder, setting, self._subject))
                yield LocalSession(session, time.perf_counter() - started)
            finally:
                before.restore()
                torch.set_num_threads(running)


def _attempted(action: Callable[[], T]) -> T:
    try:
        return action()
    except Exception as error:  # noqa: BLE001 - a stage border: the cause is kept whole
        raise RoomEnded(Raised(describe(error))) from None


class LocalSession:
    """A session in this process."""

    def __init__(self, session: Session, seconds: float) -> None:
        self._session = session
        self.options: dict[str, Any] = dict(session.options)
        self.load_seconds = seconds
        self._call: Callable[[], Any] = lambda: None

    def prepare(self, feed: Feed, seed: int) -> Lap:
        """As `RemoteSession.prepare`."""
        seeded(seed)
        self._call = _attempted(lambda: prepared(self._session, feed))
        return self.laps(1)[0]

    def laps(self, count: int, warm: int = 0) -> list[Lap]:
        """As `RemoteSession.laps`."""
        return _attempted(lambda: laps(self._call, count, warm))

    def run(self, feed: Feed, seed: int) -> Answer:
        """One call with this seed. Raises `RoomEnded` when the port refuses."""
        seeded(seed)
        answer = _attempted(lambda: self._session.run(feed))
        outputs = tuple((name, _own(array)) for name, array in answer.outputs)
        return Answer(outputs, answer.constants, {name: _own(array) for name, array in answer.mutated.items()})


def _own(array: Array) -> Array:
    """A copy: a port may write its next answer where this one lies."""
    return replace(array, data=bytes(array.data))
