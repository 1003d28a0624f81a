"""The session's side of a clean room: starts the process, talks to it within time limits, and ends
it.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, Any, Protocol

from pytest_modelport.backends.session_options import SessionOptions
from pytest_modelport.cleanroom import protocol
from pytest_modelport.cleanroom.files import Files
from pytest_modelport.cleanroom.session import RemoteSession
from pytest_modelport.core.arrays import Array, read_arrays, write_arrays
from pytest_modelport.core.cause import Cause
from pytest_modelport.core.feed import Feed
from pytest_modelport.core.tensor_stats import TensorStats
from pytest_modelport.isolation.fork import ask_where
from pytest_modelport.isolation.jobs import Crashed, Raised, TimedOut, signal_name, tail
from pytest_modelport.isolation.told import told

#: Seconds a process gets to finish by itself.
_DYING = 2.0
#: Bytes of a log that are looked through.
_MOST = 1 << 16
_BOOT = Path(__file__).with_name("boot.py")


class RoomEnded(Exception):
    """A request did not come back with a result. `ending` says how."""

    def __init__(self, ending: Raised | Crashed | TimedOut) -> None:
        super().__init__(type(ending).__name__)
        self.ending = ending


class Process(Protocol):
    """What a room needs of its process; `subprocess.Popen` has it."""

    pid: int
    stdin: IO[bytes] | None
    stdout: IO[bytes] | None

    @property
    def returncode(self) -> Any:
        """As Popen's, set by `wait` and `poll`."""

    def poll(self) -> int | None:
        """The return code, None while it runs."""

    def wait(self, timeout: float | None = None) -> int:
        """Wait for the end. Raises `subprocess.TimeoutExpired`."""


class Room:
    """One clean-room process, started when first needed and again after it died.

    scratch: folder for its log and for tensors on their way. threads: for OpenMP and BLAS, fixed
    before anything is imported. python, variables: another installation's interpreter, and what its
    process sees as environment variables.
    """

    def __init__(
        self,
        scratch: Path,
        *,
        threads: int = 1,
        python: str | Path = sys.executable,
        variables: Mapping[str, str] | None = None,
    ) -> None:
        self._scratch, self.files = scratch, Files(scratch)
        self._python = str(python)
        self._environment = {
            **(os.environ if variables is None else variables),
            **dict.fromkeys(_THREADS, str(threads)),
            "PYTHONUNBUFFERED": "1",
        }
        self._process: Process | None = None
        self._owner = os.getpid()
        self._numbers = itertools.count()
        self._waiting = self._begun = 0

    @property
    def log(self) -> Path:
        return self._scratch / "cleanroom.log"

    def start(self, preload: Sequence[str] = ()) -> None:
        """Start the process without waiting for it; it imports `preload` while the session does
        something else.
        """
        process = self._running()
        if preload:
            self._send(process, {"op": "preload", "modules": list(preload)})
            self._waiting += 1

    def _running(self) -> Process:
        if self._process is not None and self._process.poll() is None:
            return self._process
        self._finish()
        self._waiting = 0
        self._process = self._started()
        return self._process

    def _started(self) -> Process:
        with self.log.open("wb") as log:
            return subprocess.Popen(
                [self._python, str(_BOOT), str(os.getpid())],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                env=self._environment,
                start_new_session=True,
                bufsize=0,
            )

    def _send(self, process: Process, message: dict[str, Any]) -> None:
        assert process.stdin is not None
        try:
            protocol.send(process.stdin, message)
        except BrokenPipeError:
            raise RoomEnded(self._crashed(process)) from None

    def request(self, timeout: float, **message: Any) -> dict[str, Any]:
        """Send a request and wait for its reply, `timeout` seconds at most. Raises `RoomEnded`."""
        process = self._running()
        deadline = time.monotonic() + timeout
        self._begun = self.log.stat().st_size
        self._send(process, message)
        while self._waiting:
            self._receive(process, deadline, timeout)
            self._waiting -= 1
        reply = self._receive(process, deadline, timeout)
        if "error" in reply:
            raise RoomEnded(Raised(Cause.from_dict(reply["error"]), self._told()))
        return reply

    def _receive(self, process: Process, deadline: float, timeout: float) -> dict[str, Any]:
        assert process.stdout is not None
        stream = protocol.Deadline(process.stdout.fileno(), deadline)
        try:
            reply = protocol.receive(stream)
        except TimeoutError:
            ask_where(process.pid, self.log)
            self._end(process)
            raise RoomEnded(TimedOut(timeout, tail(self.log))) from None
        except protocol.Garbled:
            self._end(process)
            raise RoomEnded(Crashed("garbage in its pipe", tail(self.log))) from None
        except BaseException:
            self._end(process)  # Ctrl-C: a reply that comes later would answer the wrong request
            raise
        if reply is None:
            raise RoomEnded(self._crashed(process))
        return reply

    def _crashed(self, process: Process) -> Crashed:
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(_DYING)  # it closed its pipe: let it die of its own signal
        self._end(process)
        return Crashed(signal_name(process.returncode), tail(self.log), self._told())

    def _told(self) -> str:
        """What was printed of why, since the request began."""
        with self.log.open("rb") as log:
            log.seek(self._begun)
            return told(log.read(_MOST).decode(errors="replace"))

    def _end(self, process: Process) -> None:
        """Kill the process and all it started, and let go of its pipes."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        for stream in (process.stdin, process.stdout):
            if stream is not None:
                with contextlib.suppress(BrokenPipeError):
                    stream.close()
        self._process = None

    def close(self) -> None:
        """End the process, and remove its files. A fork of the session that inherits this object
        must not.
        """
        self._finish()
        if os.getpid() == self._owner:
            self.files.clear()

    def _finish(self) -> None:
        process = self._process
        if process is None or os.getpid() != self._owner:
            return
        if process.stdin is not None and process.poll() is None:
            process.stdin.close()  # the end of its requests: it leaves by itself
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(_DYING)
        self._end(process)

    @contextlib.contextmanager
    def open(
        self, runtime: str, folder: Path, session_options: SessionOptions, timeout: float
    ) -> Iterator[RemoteSession]:
        """An artifact opened by `runtime`, closed afterwards. Raises `RoomEnded` when it cannot be
        opened.
        """
        number = next(self._numbers)
        reply = self.request(
            timeout,
            op="open",
            session=number,
            runtime=runtime,
            folder=str(folder),
            session_options=session_options.to_dict(),
        )
        try:
            yield RemoteSession(self, number, reply["options"], timeout, reply["seconds"])
        finally:
            if self._process is not None and self._process.poll() is None:
                self.request(timeout, op="close", session=number)

    def constants(self, format_name: str, folder: Path, timeout: float) -> list[tuple[str, Array]]:
        """Every tensor stored in an artifact. Raises `RoomEnded`."""
        out = self.files.take()
        try:
            reply = self.request(
                timeout, op="constants", format_name=format_name, folder=str(folder), out=str(out)
            )
            return list(zip(reply["names"], read_arrays(out, reply["table"]), strict=True))
        finally:
            self.files.drop(out)

    def trace(
        self,
        runtime: str,
        folder: Path,
        session_options: SessionOptions,
        feeds: Sequence[tuple[Feed, int]],
        timeout: float,
    ) -> list[TensorStats]:
        """Signatures of every value computed for the last of these feeds. Raises `RoomEnded`."""
        given = self.files.take()
        try:
            table = write_arrays(
                given, [array for feed, _ in feeds for array in feed.inputs.values()]
            )
            rows = iter(table)
            calls = [
                {"inputs": {n: next(rows) for n in feed.inputs}, "spec": feed.spec, "seed": seed}
                for feed, seed in feeds
            ]
            reply = self.request(
                timeout,
                op="trace",
                runtime=runtime,
                folder=str(folder),
                session_options=session_options.to_dict(),
                file=str(given),
                calls=calls,
            )
        finally:
            self.files.drop(given)
        return [TensorStats.from_list(row) for row in reply["signatures"]]


#: What OpenMP, MKL, OpenBLAS and their like read when they are loaded.
_THREADS = (
    "OMP_NUM_THREADS",
    "MKL_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "NUMEXPR_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
)
