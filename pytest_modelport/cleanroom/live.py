"""Rooms for runtimes that need the subject's own code (`torch.compile`, a state dict): forks of the
session.

A fork has the subject as it is and takes what happens to it along when it ends. It speaks the clean
room's protocol, so limits, crashes and hangs are outcomes here too.
"""

from __future__ import annotations

import os
import subprocess
import time
import traceback
import warnings
from pathlib import Path
from typing import IO, NoReturn

from pytest_modelport.backends.contract import Subject
from pytest_modelport.cleanroom.room import Process, Room
from pytest_modelport.cleanroom.worker import Worker
from pytest_modelport.isolation.fork import enter_child, fork
from pytest_modelport.isolation.threads import on_threads


class LiveRoom(Room):
    """A room in a fork, where torch runs so many threads."""

    def __init__(self, scratch: Path, subject: Subject, threads: int = 1) -> None:
        super().__init__(scratch, threads=threads)
        self._subject, self._threads = subject, threads

    def _started(self) -> Process:
        return _Fork(self._subject, self.log, self._threads)


class _Fork:
    """A child that serves requests until its pipe is closed; the part of `subprocess.Popen` that a
    room needs.
    """

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


def _serve(
    subject: Subject, parent: int, requests: int, replies: int, log: Path, threads: int
) -> NoReturn:
    """The fork's whole life."""
    status = 1
    try:
        enter_child(parent, log)
        # Under pytest's `filterwarnings = error` a compiler's advice would end the port.
        warnings.resetwarnings()
        on_threads(
            lambda: Worker(subject).serve(os.fdopen(requests, "rb"), os.fdopen(replies, "wb")),
            threads,
        )
        status = 0
    except BaseException:  # noqa: BLE001 - nothing may leave this process; the session sees it end and the log says why
        traceback.print_exc()
    finally:
        os._exit(status)
