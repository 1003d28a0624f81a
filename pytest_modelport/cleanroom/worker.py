"""The clean room's side: one request at a time, until the session closes the pipe or dies."""

from __future__ import annotations

import importlib
import os
import sys
import time
import traceback
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import IO, Any, cast

from pytest_modelport.backends import registry, requirements
from pytest_modelport.backends.contract import Converting, Session, Subject, Traceable, is_live
from pytest_modelport.backends.result_faults import (
    answer_faults,
    constants_faults,
    session_faults,
)
from pytest_modelport.backends.session_options import SessionOptions
from pytest_modelport.cleanroom import protocol
from pytest_modelport.cleanroom.stopwatch import allocated, laps, memory, prepared
from pytest_modelport.core import artifact
from pytest_modelport.core.arrays import read_arrays, write_arrays
from pytest_modelport.core.feed import Answer, Feed
from pytest_modelport.isolation.fork import die_with_parent, say_where

Reply = dict[str, Any]


def main(parent: int) -> None:
    """Serve requests from standard input; replies go to what was standard output.

    Whatever a runtime prints goes to standard error, which the session keeps, so that it cannot
    disturb the protocol.
    """
    die_with_parent(parent)
    requests = os.fdopen(os.dup(0), "rb")
    replies = os.fdopen(os.dup(1), "wb")
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(2, 1)
    sys.stdout = sys.stderr
    say_where(sys.stderr)
    Worker().serve(requests, replies)


class Worker:
    """Answers requests. subject: the user's module, where the process has it (see `live`)."""

    def __init__(self, subject: Subject | None = None) -> None:
        self._subject = subject
        self._sessions: dict[int, Session] = {}
        self._runtimes: dict[int, str] = {}
        self._calls: dict[int, Callable[[], Any]] = {}
        self._handlers: Mapping[str, Callable[..., Reply]] = {
            "preload": self._preload,
            "missing": self._missing,
            "imports": self._imports,
            "convert": self._convert,
            "open": self._open,
            "run": self._run,
            "memory": self._memory,
            "prepare": self._prepare,
            "time": self._time,
            "close": self._close,
            "constants": self._constants,
            "trace": self._trace,
        }

    def serve(self, requests: IO[bytes], replies: IO[bytes]) -> None:
        while (request := protocol.receive(requests)) is not None:
            handler = self._handlers[request.pop("op")]
            try:
                reply = handler(**request)
            except BaseException as error:  # noqa: BLE001 - a stage border: the session turns it into an outcome
                reply = {"error": _error(error)}
            protocol.send(replies, reply)

    def _preload(self, modules: list[str]) -> Reply:
        """Pay for slow imports while the session is busy with something else. What cannot be
        imported is found again later.
        """
        failed = {}
        for module in modules:
            try:
                importlib.import_module(module)
            except Exception as error:  # noqa: BLE001 - a broken package may raise anything; reported when it is needed
                from pytest_modelport.core.cause import describe

                failed[module] = describe(error).headline
        return {"failed": failed}

    def _missing(self, requires: dict[str, str]) -> Reply:
        """Which of these requirements are not installed where this process runs."""
        return {"missing": list(requirements.missing(requires))}

    def _imports(self, modules: list[str], path: list[str]) -> Reply:
        """Import the user's modules that register operators, found where the session finds them."""
        sys.path += [entry for entry in path if entry not in sys.path]
        for module in modules:
            importlib.import_module(module)
        return {}

    def _convert(self, format_name: str, folder: str) -> Reply:
        """Finish an export here, and seal what it made."""
        exported = artifact.load(Path(folder))
        maker = cast("Converting", registry.format_(format_name))
        artifact.seal(Path(folder), maker.convert(Path(folder), exported.manifest))
        return {}

    def _open(
        self, session: int, runtime: str, folder: str, session_options: dict[str, Any]
    ) -> Reply:
        started = time.perf_counter()
        self._sessions[session] = opened(
            runtime, Path(folder), SessionOptions(**session_options), self._subject
        )
        self._runtimes[session] = runtime
        seconds = time.perf_counter() - started
        return {"options": dict(self._sessions[session].options), "seconds": seconds}

    def _run(
        self, session: int, inputs: dict[str, Any], file: str, spec: Any, seed: int, out: str
    ) -> Reply:
        released: list[bool] = []
        arrays = read_arrays(Path(file), list(inputs.values()), lambda: released.append(True))
        seeded(seed)
        feed = Feed(dict(zip(inputs, arrays, strict=True)), spec)
        answer = answered(self._runtimes[session], self._sessions[session], feed)
        reply = _write(answer, Path(out))
        del arrays, answer, feed
        return {
            **reply,
            "released": bool(released),
        }  # a port that keeps what it was given keeps the file, too

    def _memory(self, device: str) -> Reply:
        """What this process takes now and at most since this was asked last, in bytes; and on a
        card, where torch knows.
        """
        now, peak = memory()
        return {"now": now, "peak": peak, "card": allocated(device)}

    def _prepare(
        self, session: int, inputs: dict[str, Any], file: str, spec: Any, seed: int
    ) -> Reply:
        """Get ready to time one call, and make it once."""
        arrays = read_arrays(Path(file), list(inputs.values()))
        seeded(seed)
        call = prepared(self._sessions[session], Feed(dict(zip(inputs, arrays, strict=True)), spec))
        [first] = laps(call, 1)
        self._calls[session] = call
        return {"first": first.to_list()}

    def _time(self, session: int, count: int, warm: int) -> Reply:
        return {"laps": [lap.to_list() for lap in laps(self._calls[session], count, warm)]}

    def _close(self, session: int) -> Reply:
        self._sessions.pop(session, None)
        self._calls.pop(session, None)
        return {}

    def _constants(self, format_name: str, folder: str, out: str) -> Reply:
        manifest = artifact.load(Path(folder)).manifest
        found = list(registry.format_(format_name).constants(Path(folder), manifest))
        registry.hold("formats", format_name, constants_faults(found))
        table = write_arrays(Path(out), [array for _, array in found])
        return {"names": [name for name, _ in found], "table": table}

    def _trace(
        self,
        runtime: str,
        folder: str,
        session_options: dict[str, Any],
        file: str,
        calls: list[dict[str, Any]],
    ) -> Reply:
        manifest = artifact.load(Path(folder)).manifest
        feeds = []
        for call in calls:
            arrays = read_arrays(Path(file), list(call["inputs"].values()))
            feeds.append(
                (
                    Feed(dict(zip(call["inputs"], arrays, strict=True)), call["spec"]),
                    int(call["seed"]),
                )
            )
        opener = cast("Traceable", registry.runtime(runtime))
        values = opener.trace(
            Path(folder), manifest, SessionOptions(**session_options), feeds, seeded
        )
        return {"signatures": [value.to_list() for value in values]}


def _write(answer: Answer, out: Path) -> Reply:
    table = write_arrays(out, [*(array for _, array in answer.outputs), *answer.mutated.values()])
    return {
        "outputs": [name for name, _ in answer.outputs],
        "constants": [[name, value] for name, value in answer.constants],
        "mutated": list(answer.mutated),
        "table": table,
    }


def opened(
    runtime: str, folder: Path, session_options: SessionOptions, subject: Subject | None
) -> Session:
    """An artifact whose files are those of its manifest, opened. Raises what the runtime raises,
    and `CorruptArtifact`.
    """
    manifest, opener = artifact.load(folder).manifest, registry.runtime(runtime)
    if is_live(opener):
        assert subject is not None
        session = opener.open(folder, manifest, session_options, subject)
    else:
        session = opener.open(folder, manifest, session_options)
    registry.hold("runtimes", runtime, session_faults(session))
    return session


def answered(runtime: str, session: Session, feed: Feed) -> Answer:
    """One call. Raises what the runtime raises, and `BrokenItem` for what is no answer."""
    answer = session.run(feed)
    registry.hold("runtimes", runtime, answer_faults(answer))
    return answer


def seeded(seed: int) -> None:
    """The same start for a port that draws random numbers as for the subject; only generators that
    are already there.
    """
    import random

    import numpy as np

    random.seed(seed)
    np.random.seed(seed % 2**32)
    if "torch" in sys.modules:
        sys.modules["torch"].manual_seed(seed)


def _error(error: BaseException) -> dict[str, Any]:
    from pytest_modelport.core.cause import describe

    traceback.print_exception(error)
    return describe(error).to_dict()
