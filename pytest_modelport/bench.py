"""One route on the bench: what a check may ask for, each made when first asked and shared with the subject's other routes."""

from __future__ import annotations

import contextlib
import math
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from pytest_modelport import making, shelf
from pytest_modelport.artifact import Artifact
from pytest_modelport.case import Case
from pytest_modelport.cleanroom.live import InProcess, LiveRoom, LocalSession
from pytest_modelport.cleanroom.room import RemoteSession, Room, RoomEnded
from pytest_modelport.contract import is_live
from pytest_modelport.feed import Feed
from pytest_modelport.feeding import feed
from pytest_modelport.isolate import Ending, Raised, forks
from pytest_modelport.price import price_of
from pytest_modelport.reference import Reference
from pytest_modelport.reworking import through
from pytest_modelport.route import Route
from pytest_modelport.sample import Call, Sample
from pytest_modelport.setting import Setting
from pytest_modelport.signature import Signature
from pytest_modelport.steps import Move, moves
from pytest_modelport.stopped import Stopped, SubjectFailed, evidence_of, stopped
from pytest_modelport.target import Target
from pytest_modelport.tolerance import Tolerance, within_steps
from pytest_modelport.verdict import Outcome, Stage, Verdict
from pytest_modelport.wire import Array
from pytest_modelport.workspace import Workspace

Opened = contextlib.AbstractContextManager[RemoteSession | LocalSession]


@dataclass
class Bench:
    """A case on one route."""

    case: Case
    route: Route
    workspace: Workspace
    original: Case | None = None

    @cached_property
    def moves(self) -> tuple[Move, ...]:
        """The route's transforms."""
        return moves(self.route.transforms, self.case.hooks.functions)

    @property
    def reshaped(self) -> bool:
        """Whether a transform of the file may have changed answers."""
        return any(move.on_file and move.lossy for move in self.moves)

    @cached_property
    def exported(self) -> Bench:
        """The same route without transforms of the file."""
        return self._without(lambda move: move.on_file)

    @cached_property
    def untransformed(self) -> Bench:
        """The same route without any transform."""
        return replace(self._without(lambda _: True), case=self.original or self.case, original=None)

    def _without(self, drop: Callable[[Move], bool]) -> Bench:
        kept = tuple(move.text for move in self.moves if not drop(move))
        if kept == self.route.transforms:
            return self
        return replace(self, route=replace(self.route, transforms=kept))

    @cached_property
    def _target(self) -> Target:
        return shelf.target(self.route.target)

    @property
    def format(self) -> str:
        return self._target.format

    @property
    def runtime(self) -> str:
        return self._target.runtime

    @property
    def environment(self) -> str:
        """The installation that opens the artifact; empty for the session's own."""
        return self._target.environment

    @property
    def tolerance(self) -> Tolerance:
        """What the user allows, and what the runtime's way of computing costs."""
        rounding = getattr(shelf.runtime(self.runtime), "ROUNDING", 1.0)
        return replace(self.case.tolerance, rounding=rounding, fidelity=self._fidelity)

    @cached_property
    def _fidelity(self) -> float | None:
        """What answers are held to where the noise cannot say: nothing but structure after the file was changed."""
        if self.reshaped:
            return -math.inf
        if not any(getattr(move.transform, "STEPS", False) for move in self.moves):
            return None
        pairs = zip(self.untransformed.law.steps, self.law.steps, strict=True)
        outputs = (both for one, two in pairs for both in zip(one.outputs, two.outputs, strict=False))
        return within_steps(price_of((a.name, a.eager.numpy(), b.eager.numpy()) for a, b in outputs).sqnr_db)

    @property
    def options(self) -> dict[str, Any]:
        """What the route asks of the export."""
        return self._asked(shelf.format_(self.format))

    def _asked(self, item: object) -> dict[str, Any]:
        known = shelf.options(item)
        return {key: value for key, value in self._target.options if key in known}

    def _setting(self, opener: str) -> Setting:
        """How a runtime opens the artifact on this route."""
        return Setting(self.route.device, self.case.threads, self._asked(shelf.runtime(opener)))

    def verdict(
        self,
        check: str,
        stage: Stage,
        outcome: Outcome,
        reason: str,
        evidence: Mapping[str, Any] | None = None,
        notes: tuple[str, ...] = (),
    ) -> Verdict:
        """A verdict about this route, with what is known about the subject and the artifact among its notes."""
        made, reference = self.__dict__.get("artifact"), self.__dict__.get("reference")
        about = (*self.case.notes, *(reference.notes if reference else ()), *(made.manifest.notes if made else ()), *notes)
        found, noted = {**self.place, **(evidence or {})}, tuple(dict.fromkeys(about))
        return Verdict(self.route, check, stage, outcome, reason, found, noted, subject=self.case.name)

    @property
    def place(self) -> dict[str, Any]:
        """Evidence of which artifact a verdict is about, and how it was opened: that is what a release takes."""
        made: Artifact | None = self.__dict__.get("artifact")
        place: dict[str, Any] = {"artifact": str(made.folder)} if made else {}
        if self.environment:
            place["environment"] = self.workspace.environment(self.environment).summary
        if made and (session := made.manifest.sessions.get(self.route.id)):
            place["session"] = dict(session)
        return place

    @cached_property
    def reference(self) -> Reference:
        """The subject's answers on this route's device. Raises `Stopped`."""
        case = self.case

        def make() -> Reference:
            from pytest_modelport import evaluate

            self.workspace.once("evaluation is warm", evaluate.warm)
            scratch = self.workspace.fresh("reference")
            return Reference(case.module, case.calls, self.route.device, scratch, timeout=case.timeout, seed=case.seed)

        try:
            reference = self.workspace.once(("reference", case.key, self.route.device), make)
        except SubjectFailed as failure:
            raise failure.end(case.timeout) from None
        if not any(step.outputs for step in reference.steps):
            raise Stopped(Stage.RUN, Outcome.ERROR, "the subject returns no tensor: nothing can be compared")
        return reference

    @cached_property
    def law(self) -> Reference:
        """The subject's own answers alone, without oracle and noise. Raises `Stopped`."""
        case, device = self.case, self.route.device

        def make() -> Reference:
            scratch, limit = self.workspace.fresh("law"), case.timeout
            return Reference(case.module, case.calls, device, scratch, timeout=limit, seed=case.seed, law_only=True)

        try:
            return self.workspace.once(("law", case.key, device), make)
        except SubjectFailed as failure:
            raise failure.end(case.timeout) from None

    def on(self, reference: Reference) -> Bench:
        """The same route and artifact with other calls."""
        other = replace(self, case=replace(self.case, calls=reference.calls))
        other.__dict__.update(artifact=self.artifact, reference=reference, _fidelity=self._fidelity)
        return other

    @cached_property
    def artifact(self) -> Artifact:
        """The artifact of this route. Raises `Stopped` when there is none."""
        case, device = self.case, self.route.device
        if case.artifact is not None:
            return making.brought(self.workspace, case, self.reference, self.format, case.artifact)
        key = ("artifact", case.key, self.format, repr(self.options), device, repr(case.shapes.axes))
        made = self.workspace.once(
            key, lambda: making.export(self.workspace, case, self.reference, self.format, self.options, device)
        )
        if isinstance(made, Artifact):
            made = through(self.workspace, case, made, [move for move in self.moves if move.on_file], key)
        if isinstance(made, Stopped):
            raise made
        return made

    @contextlib.contextmanager
    def session(self, runtime: str = "") -> Iterator[RemoteSession | LocalSession]:
        """The artifact opened by the route's runtime, or by one that is named, in the session's own environment.

        Raises `Stopped`.
        """
        opener = runtime or self.runtime
        where = shelf.home(shelf.runtime(opener)) if runtime else self.environment
        with self._opened(self.artifact, opener, where) as session:
            if not runtime:
                self.__dict__["artifact"] = self.artifact.opened(self.route.id, session.options)
            yield session

    def beside(self, other: Artifact, environment: str = "") -> Opened:
        """Another artifact opened as the route's own is, in the same process where that is a clean room, or in another
        environment. Raises `Stopped`.
        """
        return self._opened(other, self.runtime, environment or self.environment)

    @contextlib.contextmanager
    def _opened(self, artifact: Artifact, opener: str, environment: str) -> Iterator[RemoteSession | LocalSession]:
        with self._room(opener, environment) as room, contextlib.ExitStack() as stack:
            try:
                self._import(room)
                opened: Opened = room.open(opener, artifact.folder, self._setting(opener), self.case.timeout)
                session = stack.enter_context(opened)
            except RoomEnded as ended:
                raise self._not_opened(room, opener, ended.ending) from None
            yield session

    @contextlib.contextmanager
    def _room(self, opener: str, environment: str) -> Iterator[Room | InProcess]:
        """Where a runtime runs: the clean room, or a fork that has the subject; here, for a debugger."""
        if self.workspace.in_process and not environment:
            yield InProcess(self.case)
        elif not is_live(shelf.runtime(opener)):
            yield self.workspace.room(self.case.threads, environment)
        elif forks():
            with contextlib.closing(LiveRoom(self.workspace.fresh("live"), self.case, self.case.threads)) as room:
                yield room
        else:
            yield InProcess(self.case)

    def _import(self, room: Room | InProcess) -> None:
        """Import in the clean room what the artifact needs of the user's. Raises `RoomEnded`."""
        if self.case.imports and isinstance(room, Room):
            path = [entry or str(Path.cwd()) for entry in sys.path]
            room.request(self.case.timeout, op="imports", modules=list(self.case.imports), path=path)

    def _not_opened(self, room: Room | InProcess, opener: str, ending: Ending) -> Stopped:
        """The artifact's fault, or that of a package which is broken in the clean room."""
        if isinstance(ending, Raised) and isinstance(room, Room):
            with contextlib.suppress(RoomEnded):
                reply = room.request(self.case.timeout, op="preload", modules=list(shelf.runtime(opener).REQUIRES))
                for module, said in reply["failed"].items():
                    reason = f"{module} is installed and does not import in the clean room: {said}"
                    return Stopped(Stage.OPEN, Outcome.ERROR, reason, evidence_of(ending))
        return stopped(Stage.OPEN, ending, "opening the artifact")

    def constants(self) -> list[tuple[str, Array]]:
        """Every tensor stored in the artifact, with its name there. Raises `RoomEnded`."""
        room = self.workspace.room(self.case.threads)
        self._import(room)
        return room.constants(self.format, self.artifact.folder, self.case.timeout)

    def memory(self, calls: int) -> tuple[int, int, int | None]:
        """Bytes of a clean room that has imported the runtime, and at most while it opens the artifact and makes some calls;
        and what torch held on the route's card at most, where it is in use. Raises `RoomEnded`.
        """
        limit, runtime, device = self.case.timeout, shelf.runtime(self.runtime), self.route.device
        with self.workspace.room_for_one(self.case.threads, self.environment) as room:
            self._import(room)
            room.request(limit, op="preload", modules=[*runtime.REQUIRES, *getattr(runtime, "PRELOAD", ())])
            before = int(room.request(limit, op="memory", device=device)["now"])
            with room.open(self.runtime, self.artifact.folder, self._setting(self.runtime), limit) as session:
                session.prepare(self.feed(self.case.calls[0]), self.case.seed)
                session.laps(calls)
                after = room.request(limit, op="memory", device=device)
                return before, int(after["peak"]), after["card"]

    def traced(self, step: int) -> list[Signature]:
        """Signatures of every value the port computes in one call, after the calls before it. Raises `RoomEnded`."""
        room, setting = self.workspace.room(self.case.threads, self.environment), self._setting(self.runtime)
        self._import(room)
        feeds = [(self.feed(call), call.seed) for call in self.case.calls[: step + 1]]
        return room.trace(self.runtime, self.artifact.folder, setting, feeds, self.case.timeout)

    def fed(self, sample: Sample, *, without: str = "") -> Feed:
        """A sample for the artifact whether it promised to take it or not, perhaps without one of its inputs."""
        whole = feed(self.case, self.artifact.manifest, Call(sample, self.case.seed, "a probe"), promised=False)
        return Feed({name: array for name, array in whole.inputs.items() if name != without}, whole.spec)

    def feed(self, call: Call) -> Feed:
        """One call's inputs for the artifact. Raises `Stopped` when the artifact has no place for them."""
        return feed(self.case, self.artifact.manifest, call)
