"""Where one route's artifacts are opened: in which room, with which options, and what is asked of
an open one.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pytest_modelport.backends import registry
from pytest_modelport.backends.contract import is_live
from pytest_modelport.backends.session_options import SessionOptions
from pytest_modelport.cleanroom.in_process import InProcess, LocalSession
from pytest_modelport.cleanroom.live import LiveRoom
from pytest_modelport.cleanroom.room import Room, RoomEnded
from pytest_modelport.cleanroom.session import RemoteSession
from pytest_modelport.cleanroom.workspace import Workspace
from pytest_modelport.core.arrays import Array
from pytest_modelport.core.artifact import Artifact
from pytest_modelport.core.route import Route
from pytest_modelport.core.target import Target
from pytest_modelport.core.tensor_stats import TensorStats
from pytest_modelport.core.verdict import Outcome, Stage
from pytest_modelport.isolation.jobs import Ending, Raised, forks
from pytest_modelport.isolation.stops import Stop, evidence_of, stop_for
from pytest_modelport.request.case import Case
from pytest_modelport.workbench.feeds import feed

Session = RemoteSession | LocalSession
Opened = contextlib.AbstractContextManager[Session]


def options_for(item: object, target: Target) -> dict[str, Any]:
    """Those of a target's options that its format, or a runtime, knows."""
    known = registry.options(item)
    return {key: value for key, value in target.options if key in known}


@dataclass(frozen=True)
class Sessions:
    """Everything that opens artifacts for one route of a case."""

    case: Case
    route: Route
    workspace: Workspace

    @property
    def _target(self) -> Target:
        return registry.target(self.route.target)

    def _options(self, opener: str, others: Mapping[str, Any] | None = None) -> SessionOptions:
        """How a runtime opens the artifact on this route. others: options in the place of some."""
        options = options_for(registry.runtime(opener), self._target) | dict(others or {})
        return SessionOptions(self.route.device, self.case.threads, options)

    def of_runtime(
        self, artifact: Artifact, opener: str, others: Mapping[str, Any] | None = None
    ) -> Opened:
        """An artifact opened by a runtime that is not the route's own, or with other options, in
        the run's environment. Raises `Stop`.
        """
        return self._opened(artifact, opener, registry.home(registry.runtime(opener)), others)

    def of_route(self, artifact: Artifact, environment: str = "") -> Opened:
        """An artifact opened as the route says, perhaps in another environment. Raises `Stop`."""
        return self._opened(artifact, self._target.runtime, environment or self._target.environment)

    @contextlib.contextmanager
    def _opened(
        self,
        artifact: Artifact,
        opener: str,
        environment: str,
        others: Mapping[str, Any] | None = None,
    ) -> Iterator[Session]:
        with self._room(opener, environment) as room, contextlib.ExitStack() as stack:
            try:
                self._import(room)
                options = self._options(opener, others)
                opened: Opened = room.open(opener, artifact.folder, options, self.case.timeout)
                session = stack.enter_context(opened)
            except RoomEnded as ended:
                raise self._not_opened(room, opener, ended.ending) from None
            try:
                yield session
            finally:
                try:
                    stack.close()
                except RoomEnded as ended:  # it answered, and died of being put away
                    doing = "closing the exported model's session"
                    raise stop_for(Stage.RUN, ended.ending, doing) from None

    @contextlib.contextmanager
    def _room(self, opener: str, environment: str) -> Iterator[Room | InProcess]:
        """Where a runtime runs: the clean room, or a fork that has the subject; here, for a
        debugger.
        """
        if self.workspace.in_process and not environment:
            yield InProcess(self.case)
        elif not is_live(registry.runtime(opener)):
            yield self.workspace.room(self.case.threads, environment)
        elif forks():
            live = LiveRoom(self.workspace.fresh("live"), self.case, self.case.threads)
            with contextlib.closing(live) as room:
                yield room
        else:
            yield InProcess(self.case)

    def _import(self, room: Room | InProcess) -> None:
        """Import in the clean room what the artifact needs of the user's. Raises `RoomEnded`."""
        if self.case.imports and isinstance(room, Room):
            path = [entry or str(Path.cwd()) for entry in sys.path]
            room.request(
                self.case.timeout, op="imports", modules=list(self.case.imports), path=path
            )

    def _not_opened(self, room: Room | InProcess, opener: str, ending: Ending) -> Stop:
        """The artifact's fault, or that of a package which is broken in the clean room."""
        if isinstance(ending, Raised) and isinstance(room, Room):
            requires = list(registry.runtime(opener).REQUIRES)
            with contextlib.suppress(RoomEnded):
                reply = room.request(self.case.timeout, op="preload", modules=requires)
                for module, message in reply["failed"].items():
                    reason = f"{module} is installed and does not import in the clean room"
                    full = f"{reason}: {message}"
                    return Stop(Stage.OPEN, Outcome.ERROR, full, evidence_of(ending))
        return stop_for(Stage.OPEN, ending, "opening the artifact")

    def constants(self, artifact: Artifact) -> list[tuple[str, Array]]:
        """Every tensor stored in an artifact, with its name there. Raises `RoomEnded`."""
        room = self.workspace.room(self.case.threads)
        self._import(room)
        return room.constants(self._target.format, artifact.folder, self.case.timeout)

    def memory(self, artifact: Artifact, calls: int) -> tuple[int, int, int | None]:
        """Bytes of a clean room that has imported the runtime, and at most while it opens the
        artifact and makes some calls; and what torch held on the route's GPU at most, where it is
        in use. Raises `RoomEnded`.
        """
        limit, device, name = self.case.timeout, self.route.device, self._target.runtime
        runtime = registry.runtime(name)
        modules = [*runtime.REQUIRES, *getattr(runtime, "PRELOAD", ())]
        with self.workspace.room_for_one(self.case.threads, self._target.environment) as room:
            self._import(room)
            room.request(limit, op="preload", modules=modules)
            before = int(room.request(limit, op="memory", device=device)["now"])
            with room.open(name, artifact.folder, self._options(name), limit) as session:
                first = feed(self.case, artifact.manifest, self.case.calls[0])
                session.prepare(first, self.case.seed)
                session.laps(calls)
                after = room.request(limit, op="memory", device=device)
                return before, int(after["peak"]), after["card"]

    def traced(self, artifact: Artifact, step: int) -> list[TensorStats]:
        """What every value is like that the port computes in one call, after the calls before it.
        Raises `RoomEnded`.
        """
        name = self._target.runtime
        room = self.workspace.room(self.case.threads, self._target.environment)
        self._import(room)
        feeds = [
            (feed(self.case, artifact.manifest, call), call.seed)
            for call in self.case.calls[: step + 1]
        ]
        return room.trace(name, artifact.folder, self._options(name), feeds, self.case.timeout)
