"""Sessions in this process: for a debugger, and where nothing can be forked."""

from __future__ import annotations

import contextlib
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

from pytest_modelport.backends.contract import Session, Subject
from pytest_modelport.backends.session_options import SessionOptions
from pytest_modelport.cleanroom.room import RoomEnded
from pytest_modelport.cleanroom.stopwatch import Lap, laps, prepared
from pytest_modelport.cleanroom.worker import answered, opened, seeded
from pytest_modelport.core.arrays import Array
from pytest_modelport.core.cause import describe
from pytest_modelport.core.feed import Answer, Feed
from pytest_modelport.isolation.jobs import Raised

T = TypeVar("T")


class InProcess:
    """For a debugger, and where nothing can be forked: the same in this process, without limits.
    The subject is put back.
    """

    def __init__(self, subject: Subject) -> None:
        self._subject = subject

    @contextlib.contextmanager
    def open(
        self,
        runtime: str,
        folder: Path,
        session_options: SessionOptions,
        timeout: float,  # noqa: ARG002
    ) -> Iterator[LocalSession]:
        """As `Room.open`."""
        import torch

        from pytest_modelport.core.tensors import restored_rng
        from pytest_modelport.subject.snapshot import Snapshot

        before, running = Snapshot(self._subject.module), torch.get_num_threads()
        with restored_rng(), warnings.catch_warnings():
            warnings.resetwarnings()
            try:
                started = time.perf_counter()
                session = _attempted(
                    lambda: opened(runtime, folder, session_options, self._subject)
                )
                yield LocalSession(runtime, session, time.perf_counter() - started)
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

    def __init__(self, runtime: str, session: Session, seconds: float) -> None:
        self._runtime, self._session = runtime, session
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
        answer = _attempted(lambda: answered(self._runtime, self._session, feed))
        outputs = tuple((name, _own(array)) for name, array in answer.outputs)
        return Answer(
            outputs, answer.constants, {name: _own(array) for name, array in answer.mutated.items()}
        )


def _own(array: Array) -> Array:
    """A copy: a port may write its next answer where this one lies."""
    return replace(array, data=bytes(array.data))
