"""From an exported artifact to the one that ships: transforms that work on files."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from pytest_modelport import artifact as artifacts
from pytest_modelport import shelf
from pytest_modelport.artifact import Artifact
from pytest_modelport.calibration import feeds_of
from pytest_modelport.isolate import Done, Raised, run
from pytest_modelport.stopped import Stopped, evidence_of, stopped
from pytest_modelport.subject import digest
from pytest_modelport.verdict import Outcome, Stage
from pytest_modelport.work import FileWork, said

if TYPE_CHECKING:
    from pytest_modelport.case import Case
    from pytest_modelport.isolate import Ending
    from pytest_modelport.steps import Move
    from pytest_modelport.workspace import Workspace


def through(
    workspace: Workspace, case: Case, made: Artifact, moves: Sequence[Move], key: tuple[object, ...]
) -> Artifact | Stopped:
    """The artifact after all these transforms. key: what it was exported from; each result is made once."""
    result: Artifact | Stopped = made
    key = (*key, digest(case.hooks.calibrate)) if moves else key
    for move in moves:
        key = (*key, move.text)
        if isinstance(result, Artifact):
            result = workspace.once(key, partial(_reworked, workspace, case, result, move))
    return result


def _reworked(workspace: Workspace, case: Case, made: Artifact, move: Move) -> Artifact | Stopped:
    """The artifact after one more transform, in a folder of its own."""
    folder, entry = workspace.fresh(move.text.partition("(")[0]), made.manifest.entry
    log = folder.with_name(f"{folder.name}.log")

    def job() -> list[str]:
        feeds = feeds_of(case, made.manifest)
        return list(move.transform.apply(FileWork(made.folder / entry, folder / entry, made.manifest, feeds, move.options)))

    ending = run(job, timeout=case.timeout, log=log, here=workspace.in_process)
    if not isinstance(ending, Done):
        if isinstance(ending, Raised):
            with log.open("a") as file:
                file.write(ending.cause.text)
        workspace.keep(log)
        return not_transformed(ending, move.text, {"log": str(log)})
    if not (folder / entry).is_file():
        return Stopped(Stage.TRANSFORM, Outcome.ERROR, f"{move.text} wrote no {entry}: the transform is at fault")
    notes = (*made.manifest.notes, *map(str, ending.value))
    inputs, outputs, _ = shelf.format_(made.manifest.format).inspect(folder / entry)
    manifest = replace(
        made.manifest,
        inputs=inputs or made.manifest.inputs,
        outputs=outputs or made.manifest.outputs,
        transforms=(*made.manifest.transforms, move.text),
        notes=notes,
        sessions={},
    )
    return artifacts.seal(folder, manifest)


def not_transformed(ending: Ending, text: str, evidence: dict[str, str]) -> Stopped:
    """What it means that a transform did not come to its end."""
    found = {**evidence_of(ending), **evidence}
    if isinstance(ending, Raised) and not ending.cause.storage:
        return Stopped(Stage.TRANSFORM, Outcome.UNSUPPORTED, f"cannot transform: {text}: {said(ending.cause)}", found)
    end = stopped(Stage.TRANSFORM, ending, f"the transform {text}")
    return Stopped(end.stage, end.outcome, end.reason, found)
