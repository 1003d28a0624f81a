"""Exporting the subject in a process of its own."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pytest_modelport.backends import registry
from pytest_modelport.backends.export import ExportRequest
from pytest_modelport.backends.item_faults import exported_faults
from pytest_modelport.cleanroom.room import RoomEnded
from pytest_modelport.cleanroom.workspace import Workspace
from pytest_modelport.core import artifact
from pytest_modelport.core.artifact import Artifact
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
        registry.hold("formats", format_name, exported_faults(exported))
        open_as_asked(exported, case.shapes, watched)
        manifest = exported.manifest(format_name, maker.KIND, request)
        artifact.seal(folder, replace(manifest, guards=watched.assumed()))

    here = workspace.in_process
    ending = run(
        job, timeout=case.timeout, log=log, paths=paths(case.module), restore=case.module, here=here
    )
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
    environment = registry.home(registry.format_(format_name))
    if not environment:
        return Done(None)
    with workspace.room_for_one(case.threads, environment) as room:
        try:
            room.request(case.timeout, op="convert", format_name=format_name, folder=str(folder))
        except RoomEnded as ended:
            return ended.ending
    return Done(None)


def _not_exported(ending: Ending, format_name: str, log: Path) -> Stop:
    evidence = {**evidence_of(ending), "log": str(log)}
    if shutil.disk_usage(log.parent).free < _DISK_FULL:
        return Stop(
            Stage.EXPORT,
            Outcome.ERROR,
            f"cannot write the artifact: no space left in {log.parent}",
            evidence,
        )
    if not isinstance(ending, Raised):
        other = stop_for(Stage.EXPORT, ending, f"the export to {format_name}")
        return Stop(other.stage, other.outcome, other.reason, evidence)
    cause = ending.cause
    if cause.storage:
        return Stop(
            Stage.EXPORT, Outcome.ERROR, f"cannot write the artifact: {cause.headline}", evidence
        )
    if cause.type == BrokenItem.__name__:
        return Stop(Stage.EXPORT, Outcome.ERROR, cause.message, evidence)
    if cause.type == WrongArtifact.__name__:
        return Stop(Stage.EXPORT, Outcome.FAILED, f"made something else: {cause.message}", evidence)
    if cause.type == CannotVary.__name__:
        return Stop(Stage.EXPORT, Outcome.UNSUPPORTED, f"cannot export: {cause.message}", evidence)
    return Stop(Stage.EXPORT, Outcome.UNSUPPORTED, f"cannot export: {cause.headline}", evidence)
