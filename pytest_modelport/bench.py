"""One route on the bench: what a check may ask for, each made when first asked and shared with the subject's other routes."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pytest_modelport import artifact as artifacts
from pytest_modelport import shelf
from pytest_modelport.artifact import Artifact, Manifest
from pytest_modelport.cause import Cause, describe
from pytest_modelport.cleanroom.room import RemoteSession, RoomEnded
from pytest_modelport.dims import Shapes
from pytest_modelport.export import Request, WrongArtifact
from pytest_modelport.feed import Feed
from pytest_modelport.isolate import Crashed, Done, Ending, Raised, TimedOut, run
from pytest_modelport.reference import Reference, SubjectFailed
from pytest_modelport.route import Route
from pytest_modelport.sample import Call
from pytest_modelport.signature import Signature
from pytest_modelport.tolerance import Tolerance
from pytest_modelport.verdict import Outcome, Stage, Verdict
from pytest_modelport.wire import Array
from pytest_modelport.workspace import Workspace

if TYPE_CHECKING:
    from torch import nn

    from pytest_modelport.subject import Inputs


@dataclass(frozen=True)
class Case:
    """What is to be proven: the subject and everything the user said about it.

    key: the subject's fingerprint; equal keys share references and exports. artifact: a file to prove instead of exporting.
    timeout: seconds for each export, opening and call. threads: of the port's session.
    """

    module: nn.Module
    inputs: Inputs
    calls: tuple[Call, ...]
    shapes: Shapes
    tolerance: Tolerance
    key: str
    seed: int
    name: str
    artifact: Path | None = None
    timeout: float = 600.0
    threads: int = 1
    notes: tuple[str, ...] = ()


@dataclass
class Stopped(Exception):
    """A stage ended the route: what its verdict will say."""

    stage: Stage
    outcome: Outcome
    reason: str
    evidence: Mapping[str, Any] = field(default_factory=dict)


@dataclass
class Bench:
    """A case on one route."""

    case: Case
    route: Route
    workspace: Workspace

    @cached_property
    def format(self) -> str:
        return shelf.split(self.route.target)[0]

    @cached_property
    def runtime(self) -> str:
        return shelf.split(self.route.target)[1]

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
        made = self.__dict__.get("artifact")
        known = (*self.case.notes, *(made.manifest.notes if made else ()), *notes)
        place = {"artifact": str(made.folder)} if made else {}
        return Verdict(
            self.route,
            check,
            stage,
            outcome,
            reason,
            {**place, **(evidence or {})},
            tuple(dict.fromkeys(known)),
            0.0,
            self.case.name,
        )

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
            return self.workspace.once(("reference", case.key, self.route.device, case.calls[0].seed), make)
        except SubjectFailed as failure:
            raise self._subject_failed(failure) from None

    def _subject_failed(self, failure: SubjectFailed) -> Stopped:
        ending = failure.ending
        if isinstance(ending, Raised):
            text = f"the subject itself rejects {failure.call}: {ending.cause.headline}"
        elif isinstance(ending, Crashed):
            text = f"the subject itself crashes ({ending.signal}) in eager"
        else:
            text = f"the subject itself takes more than {self.case.timeout:g} s in eager"
        return Stopped(Stage.RUN, Outcome.ERROR, text, evidence_of(ending))

    @cached_property
    def artifact(self) -> Artifact:
        """The artifact of this route. Raises `Stopped` when there is none."""
        if self.case.artifact is not None:
            return self._brought(self.case.artifact)
        key = ("artifact", self.case.key, self.format, self.route.device, repr(self.case.shapes.axes))
        made = self.workspace.once(key, self._export)
        if isinstance(made, Stopped):
            raise made
        return made

    def _export(self) -> Artifact | Stopped:
        """Export in isolation. A failure is a result too: the subject's other routes need not repeat it."""
        reference, case = self.reference, self.case
        maker = shelf.format_(self.format)
        folder = self.workspace.fresh(self.format)
        step = reference.steps[0]
        request = Request(
            case.module,
            case.inputs,
            case.shapes,
            tuple(item.name for item in step.outputs),
            reference.spec,
            step.constants,
            folder,
            self.route.device,
        )
        log = folder.with_name(f"{folder.name}.log")

        from pytest_modelport.subject import paths
        from pytest_modelport.tensors import without_autocast

        def job() -> None:
            with without_autocast():
                exported = maker.export(request)
            artifacts.seal(folder, exported.manifest(self.format, maker.KIND, request))

        ending = run(job, timeout=case.timeout, log=log, paths=paths(case.module), restore=case.module)
        if isinstance(ending, Done):
            return artifacts.load(folder)
        if isinstance(ending, Raised):
            log.write_text(log.read_text(errors="replace") + ending.cause.text)
        self.workspace.keep(log)
        return self._not_exported(ending, log)

    def _not_exported(self, ending: Ending, log: Path) -> Stopped:
        evidence = {**evidence_of(ending), "log": str(log)}
        if isinstance(ending, Raised):
            cause = ending.cause
            if cause.storage:
                return Stopped(Stage.EXPORT, Outcome.ERROR, f"cannot write the artifact: {cause.headline}", evidence)
            wrong = cause.type == WrongArtifact.__name__
            said = f"made something else: {cause.message}" if wrong else f"cannot export: {cause.headline}"
            return Stopped(Stage.EXPORT, Outcome.FAILED if wrong else Outcome.UNSUPPORTED, said, evidence)
        return Stopped(Stage.EXPORT, *_ended(ending, f"the export to {self.format}"), evidence)

    def _brought(self, path: Path) -> Artifact:
        """A copy of the user's file, sealed: what was verified can be told apart from what is there later."""
        maker = shelf.format_(self.format)
        if not path.is_file():
            raise Stopped(Stage.OPEN, Outcome.ERROR, f"no artifact at {path}")
        if path.suffix not in maker.SUFFIXES:
            known = ", ".join(maker.SUFFIXES)
            raise Stopped(Stage.OPEN, Outcome.ERROR, f"{path.name} is no {self.format} file: those end in {known}")
        folder = self.workspace.fresh(f"{self.format}-brought")
        try:
            inputs, outputs, companions = maker.inspect(path)
        except Exception as error:  # noqa: BLE001 - a stage border: a file that cannot be read may raise anything
            said = describe(error)
            reason = f"{path.name} cannot be read as {self.format}: {said.headline}"
            raise Stopped(Stage.OPEN, Outcome.FAILED, reason, evidence_of(Raised(said))) from None
        for name in (path.name, *companions):
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path.parent / name, folder / name)
        return artifacts.seal(
            folder,
            Manifest(
                self.format,
                maker.KIND,
                path.name,
                maker.CALL,
                inputs,
                outputs,
                constants=dict(self.reference.steps[0].constants),
                baked=dict(self.case.inputs.constants),
                brought=True,
                notes=(f"proven as it was brought: {path}",),
            ),
        )

    @contextlib.contextmanager
    def session(self, runtime: str = "") -> Iterator[RemoteSession]:
        """The artifact opened in the clean room, by the route's runtime or another one. Raises `Stopped`."""
        artifact, room, opener = self.artifact, self.workspace.room(self.case.threads), runtime or self.runtime
        with contextlib.ExitStack() as stack:
            try:
                opened = room.open(opener, artifact.folder, self.route.device, self.case.threads, self.case.timeout)
                session = stack.enter_context(opened)
            except RoomEnded as ended:
                raise self.stopped(Stage.OPEN, ended, "opening the artifact") from None
            if not runtime:
                self.__dict__["artifact"] = artifact.opened(f"{opener}-{self.route.device}", session.options)
            yield session

    def traced(self, step: int) -> list[Signature]:
        """Signatures of every value the port computes in one call, after the calls before it. Raises `RoomEnded`."""
        room = self.workspace.room(self.case.threads)
        feeds = [(self.feed(call), call.seed) for call in self.case.calls[: step + 1]]
        return room.trace(self.runtime, self.artifact.folder, self.route.device, self.case.threads, feeds, self.case.timeout)

    def stopped(self, stage: Stage, ended: RoomEnded, doing: str) -> Stopped:
        """What a request to the clean room that did not come back means for the route."""
        ending = ended.ending
        if isinstance(ending, Raised):
            if ending.cause.storage:
                return Stopped(stage, Outcome.ERROR, f"{doing}: {ending.cause.headline}", evidence_of(ending))
            return Stopped(stage, Outcome.FAILED, f"{doing} fails: {ending.cause.headline}", evidence_of(ending))
        return Stopped(stage, *_ended(ending, doing), evidence_of(ending))

    def feed(self, call: Call) -> Feed:
        """One call's inputs for the artifact. Raises `Stopped` when the artifact has no place for them."""
        from pytest_modelport.subject import inputs
        from pytest_modelport.tensors import to_array

        manifest = self.artifact.manifest
        given = inputs(self.case.module, call.sample)
        arrays = {item.name: to_array(item.tensor, strided=True) for item in given.tensors}
        if manifest.call != "natural":
            problem = _misfit(given, self.case.inputs)
            if problem:
                raise Stopped(Stage.RUN, Outcome.FAILED, f"the port cannot be given {call.label}: {problem}")
        if manifest.brought and manifest.call == "named":
            arrays = _renamed(arrays, [value.name for value in manifest.inputs])
        return Feed(arrays, given.spec)


def _misfit(given: Inputs, exported: Inputs) -> str:
    """Why inputs cannot be handed to an artifact that has only named or ordered tensors; empty when they can."""
    names, known = [item.name for item in given.tensors], [item.name for item in exported.tensors]
    for name in names:
        if name not in known:
            return f"it has no input {name!r} (exported with {', '.join(known)})"
    for name in known:
        if name not in names:
            return f"its input {name!r} gets no tensor"
    for name in given.constants.keys() | exported.constants.keys():
        fixed, value = exported.constants.get(name), given.constants.get(name)
        if fixed != value:
            return f"{name} was fixed at {fixed!r} when it was exported, and is {value!r} here"
    return ""


def _renamed(arrays: dict[str, Array], names: list[str]) -> dict[str, Array]:
    """The arrays under a brought file's own input names: by name where they agree, else by position. Raises `Stopped`."""
    if set(names) <= set(arrays):
        return {name: arrays[name] for name in names}
    if len(names) == len(arrays):
        return dict(zip(names, arrays.values(), strict=True))
    reason = f"the artifact takes {', '.join(names)}; the sample has {', '.join(arrays)}"
    raise Stopped(Stage.RUN, Outcome.FAILED, reason)


def _ended(ending: Crashed | TimedOut | Done, doing: str) -> tuple[Outcome, str]:
    if isinstance(ending, Crashed):
        return Outcome.CRASHED, f"{ending.signal} in {doing}"
    assert isinstance(ending, TimedOut)
    return Outcome.TIMEOUT, f"more than {ending.seconds:g} s in {doing}: killed"


def evidence_of(ending: Ending) -> dict[str, Any]:
    """How a job ended, as evidence."""
    if isinstance(ending, Raised):
        return {"cause": _brief(ending.cause)}
    if isinstance(ending, Crashed):
        return {"signal": ending.signal, "tail": ending.tail}
    return {"seconds": ending.seconds, "tail": ending.tail} if isinstance(ending, TimedOut) else {}


def _brief(cause: Cause) -> dict[str, Any]:
    """A cause without its traceback, which is in the log."""
    return {key: value for key, value in cause.to_dict().items() if key != "text" and value}
