"""From a subject, or a file that the user brings, to a sealed artifact."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pytest_modelport import artifact, shelf
from pytest_modelport.artifact import Artifact, Manifest
from pytest_modelport.case import Case
from pytest_modelport.cause import describe
from pytest_modelport.cleanroom.room import RoomEnded
from pytest_modelport.dangers import dangers
from pytest_modelport.export import Request, WrongArtifact
from pytest_modelport.guards import CannotVary, open_as_asked, refused, watching
from pytest_modelport.isolate import Done, Ending, Raised, run
from pytest_modelport.stopped import Stopped, evidence_of, stopped
from pytest_modelport.verdict import Outcome, Stage
from pytest_modelport.workspace import Workspace

if TYPE_CHECKING:
    from pytest_modelport.reference import Reference

#: With fewer free bytes an export that failed says nothing about the model.
_DISK_FULL = 1 << 20


def export(
    workspace: Workspace, case: Case, reference: Reference, format_name: str, options: Mapping[str, Any], device: str
) -> Artifact | Stopped:
    """Export in isolation. A failure is a result too: the subject's other routes need not repeat it."""
    from pytest_modelport.subject import paths
    from pytest_modelport.tensors import without_autocast

    maker, folder, step = shelf.format_(format_name), workspace.fresh(format_name), reference.steps[0]
    names = tuple(item.name for item in step.outputs)
    inputs = case.larger or case.inputs
    request = Request(case.module, inputs, case.shapes, names, reference.spec, step.constants, folder, device, options)
    log = folder.with_name(f"{folder.name}.log")

    def job() -> None:
        with without_autocast(), watching() as watched:
            try:
                exported = maker.export(request)
            except Exception as error:
                said = refused(error, [item.name for item in case.inputs.tensors], watched)
                if said is error:
                    raise
                raise said from error
        open_as_asked(exported, case.shapes, watched)
        manifest = exported.manifest(format_name, maker.KIND, request)
        artifact.seal(folder, replace(manifest, guards=watched.assumed()))

    here = workspace.in_process
    ending = run(job, timeout=case.timeout, log=log, paths=paths(case.module), restore=case.module, here=here)
    if isinstance(ending, Done):
        ending = _converted(workspace, case, format_name, folder)
    if isinstance(ending, Done):
        return artifact.load(folder)
    if isinstance(ending, Raised):
        with log.open("a") as file:
            file.write(ending.cause.text)
    workspace.keep(log)
    return _not_exported(ending, format_name, log)


def _converted(workspace: Workspace, case: Case, format_name: str, folder: Path) -> Ending:
    """The second half of an export whose converter lives in an environment of its own."""
    environment = shelf.home(shelf.format_(format_name))
    if not environment:
        return Done(None)
    with workspace.room_for_one(case.threads, environment) as room:
        try:
            room.request(case.timeout, op="convert", format_name=format_name, folder=str(folder))
        except RoomEnded as ended:
            return ended.ending
    return Done(None)


def _not_exported(ending: Ending, format_name: str, log: Path) -> Stopped:
    evidence = {**evidence_of(ending), "log": str(log)}
    if shutil.disk_usage(log.parent).free < _DISK_FULL:
        return Stopped(Stage.EXPORT, Outcome.ERROR, f"cannot write the artifact: no space left in {log.parent}", evidence)
    if not isinstance(ending, Raised):
        other = stopped(Stage.EXPORT, ending, f"the export to {format_name}")
        return Stopped(other.stage, other.outcome, other.reason, evidence)
    cause = ending.cause
    if cause.storage:
        return Stopped(Stage.EXPORT, Outcome.ERROR, f"cannot write the artifact: {cause.headline}", evidence)
    if cause.type == WrongArtifact.__name__:
        return Stopped(Stage.EXPORT, Outcome.FAILED, f"made something else: {cause.message}", evidence)
    if cause.type == CannotVary.__name__:
        return Stopped(Stage.EXPORT, Outcome.UNSUPPORTED, f"cannot export: {cause.message}", evidence)
    return Stopped(Stage.EXPORT, Outcome.UNSUPPORTED, f"cannot export: {cause.headline}", evidence)


def brought(workspace: Workspace, case: Case, reference: Reference, format_name: str, path: Path) -> Artifact:
    """A sealed copy of the user's file, so that what was verified can be told from what is there later. Raises `Stopped`."""
    maker = shelf.format_(format_name)
    if not path.exists():
        raise Stopped(Stage.OPEN, Outcome.ERROR, f"no artifact at {path}")
    if path.suffix not in maker.SUFFIXES:
        reason = f"{path.name} is no {format_name} file: those end in {', '.join(maker.SUFFIXES)}"
        raise Stopped(Stage.OPEN, Outcome.ERROR, reason)
    if harmful := dangers(path):
        raise Stopped(Stage.OPEN, Outcome.FAILED, f"not opened: {harmful[0]}", {"dangers": harmful[:5]})
    try:
        inputs, outputs, companions = maker.inspect(path)
    except Exception as error:  # noqa: BLE001 - a stage border: a file that cannot be read may raise anything
        said = describe(error)
        reason = f"{path.name} cannot be read as {format_name}: {said.headline}"
        raise Stopped(Stage.OPEN, Outcome.FAILED, reason, evidence_of(Raised(said))) from None
    if harmful := [f"{name}: {said}" for name in companions for said in dangers(path.parent / name)]:
        raise Stopped(Stage.OPEN, Outcome.FAILED, f"not opened: {harmful[0]}", {"dangers": harmful[:5]})
    folder = workspace.fresh(f"{format_name}-brought")
    for name in (path.name, *companions):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        copy = shutil.copytree if (path.parent / name).is_dir() else shutil.copyfile
        copy(path.parent / name, folder / name)
    manifest = Manifest(
        format=format_name,
        kind=maker.KIND,
        entry=path.name,
        call=maker.CALL,
        inputs=inputs,
        outputs=outputs,
        constants=dict(reference.steps[0].constants),
        baked=dict(case.inputs.constants),
        brought=True,
        notes=(f"proven as it was brought: {path}",),
    )
    return artifact.seal(folder, manifest)
