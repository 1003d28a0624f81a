"""Exporting the subject in a process of its own."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pytest_modelport.backends import registry
from pytest_modelport.backends.export import ExportRequest
from pytest_modelport.backends.result_faults import exported_faults
from pytest_modelport.cleanroom.room import RoomEnded
from pytest_modelport.cleanroom.workspace import Workspace, log_of
from pytest_modelport.core import artifact
from pytest_modelport.core.artifact import Artifact
from pytest_modelport.core.cause import Cause
from pytest_modelport.core.errors import BrokenItem, CannotVary, WrongArtifact
from pytest_modelport.core.verdict import Outcome, Stage
from pytest_modelport.isolation.jobs import Done, Ending, Raised, run
from pytest_modelport.isolation.stops import Stop, evidence_of, stop_for
from pytest_modelport.request.case import Case
from pytest_modelport.workbench.shape_guards import open_as_asked, refused, watching

if TYPE_CHECKING:
    from pytest_modelport.reference.reference import Reference

#: With fewer free bytes an export that failed says nothing about the model.
_DISK_FULL = 1 << 20
_NOUNS = {Stage.EXPORT: "export", Stage.CONVERT: "conversion"}


def export(
    workspace: Workspace,
    case: Case,
    reference: Reference,
    format_name: str,
    options: Mapping[str, Any],
    device: str,
) -> Artifact | Stop:
    """Export in isolation. A failure is a result too: the subject's other routes need not repeat
    it.
    """
    from pytest_modelport.core.tensors import without_autocast
    from pytest_modelport.subject.modules import paths

    maker, folder, step = (
        registry.format_(format_name),
        workspace.fresh(format_name),
        reference.steps[0],
    )
    names = tuple(item.name for item in step.outputs)
    inputs = case.larger or case.inputs
    request = ExportRequest(
        case.module,
        inputs,
        case.shapes,
        names,
        reference.spec,
        step.constants,
        folder,
        device,
        options,
    )
    log = log_of(folder)

    def job() -> None:
        with without_autocast(), watching() as watched:
            try:
                exported = maker.export(request)
            except Exception as error:
                said = refused(error, [item.name for item in case.inputs.tensors], watched)
                if said is error:
                    raise
                raise said from error
        registry.hold("formats", format_name, exported_faults(exported))
        open_as_asked(exported, case.shapes, watched)
        manifest = exported.manifest(format_name, maker.KIND, request)
        artifact.seal(folder, replace(manifest, guards=watched.assumed()))

    here = workspace.in_process
    ending = run(
        job, timeout=case.timeout, log=log, paths=paths(case.module), restore=case.module, here=here
    )
    stage = Stage.EXPORT
    if isinstance(ending, Done):
        stage, ending = Stage.CONVERT, _converted(workspace, case, format_name, folder)
    if isinstance(ending, Done):
        return artifact.load(folder)
    if isinstance(ending, Raised):
        with log.open("a") as file:
            file.write(ending.cause.text)
    workspace.keep(log)
    return _not_exported(stage, ending, format_name, folder)


def _converted(workspace: Workspace, case: Case, format_name: str, folder: Path) -> Ending:
    """The second half of an export whose converter lives in an environment of its own."""
    environment = registry.home(registry.format_(format_name))
    if not environment:
        return Done(None)
    with workspace.room_for_one(case.threads, environment) as room:
        try:
            room.request(case.timeout, op="convert", format_name=format_name, folder=str(folder))
        except RoomEnded as ended:
            return ended.ending
    return Done(None)


def _not_exported(stage: Stage, ending: Ending, format_name: str, folder: Path) -> Stop:
    """What it means that the export, or the conversion after it, did not come to its end."""
    log = log_of(folder)
    evidence = {**evidence_of(ending), "log": str(log)}
    if not folder.is_dir():
        reason = f"cannot write the artifact: its folder was removed meanwhile: {folder}"
        return Stop(stage, Outcome.ERROR, reason, evidence)
    if shutil.disk_usage(log.parent).free < _DISK_FULL:
        reason = f"cannot write the artifact: no space left in {log.parent}"
        return Stop(stage, Outcome.ERROR, reason, evidence)
    if not isinstance(ending, Raised):
        other = stop_for(stage, ending, f"the {_NOUNS[stage]} to {format_name}")
        return Stop(other.stage, other.outcome, other.reason, evidence)
    outcome, reason = _raised(ending.cause, str(stage))
    return Stop(stage, outcome, reason, evidence)


def _raised(cause: Cause, doing: str) -> tuple[Outcome, str]:
    if cause.storage:
        return Outcome.ERROR, f"cannot write the artifact: {cause.headline}"
    if cause.type == BrokenItem.__name__:
        return Outcome.ERROR, cause.message
    if cause.type == WrongArtifact.__name__:
        return Outcome.FAILED, f"made something else: {cause.message}"
    if cause.type == CannotVary.__name__:
        return Outcome.UNSUPPORTED, f"cannot {doing}: {cause.message}"
    return Outcome.UNSUPPORTED, f"cannot {doing}: {cause.headline}"
