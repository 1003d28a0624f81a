"""From an exported artifact to the one that ships: transforms that work on files."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, cast

from pytest_modelport.backends import registry
from pytest_modelport.backends.result_faults import notes_faults
from pytest_modelport.backends.transform_work import FileWork, said
from pytest_modelport.cleanroom.workspace import log_of
from pytest_modelport.core import artifact
from pytest_modelport.core.artifact import Artifact, TensorSpec
from pytest_modelport.core.errors import BrokenItem
from pytest_modelport.core.verdict import Outcome, Stage
from pytest_modelport.isolation.jobs import Done, Raised, run
from pytest_modelport.isolation.stops import Stop, evidence_of, stop_for
from pytest_modelport.subject.identity import digest
from pytest_modelport.workbench.calibration import feeds_of

if TYPE_CHECKING:
    from pytest_modelport.cleanroom.workspace import Workspace
    from pytest_modelport.isolation.jobs import Ending
    from pytest_modelport.request.case import Case
    from pytest_modelport.workbench.steps import RouteTransform


def through(
    workspace: Workspace,
    case: Case,
    made: Artifact,
    transforms: Sequence[RouteTransform],
    key: tuple[object, ...],
) -> Artifact | Stop:
    """The artifact after all these transforms. key: what it was exported from; each result is made
    once.
    """
    result: Artifact | Stop = made
    key = (*key, digest(case.hooks.calibrate)) if transforms else key
    for transform in transforms:
        key = (*key, transform.text)
        if isinstance(result, Artifact):
            result = workspace.once(key, partial(_reworked, workspace, case, result, transform))
    return result


def _reworked(
    workspace: Workspace, case: Case, made: Artifact, transform: RouteTransform
) -> Artifact | Stop:
    """The artifact after one more transform, in a folder of its own."""
    folder, entry = workspace.fresh(transform.text.partition("(")[0]), made.manifest.entry
    log = log_of(folder)

    def job() -> list[str]:
        feeds = feeds_of(case, made.manifest)
        source, target = made.folder / entry, folder / entry
        work = FileWork(source, target, made.manifest, feeds, transform.options)
        notes = transform.item.apply(work)
        plain = notes if isinstance(notes, str) or not isinstance(notes, Iterable) else list(notes)
        transform.hold(notes_faults(plain))
        return cast("list[str]", plain)

    ending = run(job, timeout=case.timeout, log=log, here=workspace.in_process)
    if not isinstance(ending, Done):
        if isinstance(ending, Raised):
            with log.open("a") as file:
                file.write(ending.cause.text)
        workspace.keep(log)
        return not_transformed(ending, transform.text, {"log": str(log)})
    if not (folder / entry).is_file():
        return Stop(
            Stage.TRANSFORM,
            Outcome.ERROR,
            f"{transform.text} wrote no {entry}: the transform is at fault",
        )
    notes = (*made.manifest.notes, *map(str, ending.value))
    inputs, outputs, _ = registry.format_(made.manifest.format).inspect(folder / entry)
    manifest = replace(
        made.manifest,
        inputs=_named(inputs, made.manifest.inputs) or made.manifest.inputs,
        outputs=_named(outputs, made.manifest.outputs) or made.manifest.outputs,
        transforms=(*made.manifest.transforms, transform.text),
        notes=notes,
        sessions={},
    )
    return artifact.seal(folder, manifest)


def _named(found: Sequence[TensorSpec], before: Sequence[TensorSpec]) -> tuple[TensorSpec, ...]:
    """What a changed file promises, under the names that the model has for it."""
    own = {value.file_name: value.name for value in before}
    return tuple(
        replace(value, name=own[value.name], stored=value.name)
        if own.get(value.name, value.name) != value.name
        else value
        for value in found
    )


def not_transformed(ending: Ending, text: str, evidence: dict[str, str]) -> Stop:
    """What it means that a transform did not come to its end."""
    found = {**evidence_of(ending), **evidence}
    broken = isinstance(ending, Raised) and ending.cause.type == BrokenItem.__name__
    if isinstance(ending, Raised) and not ending.cause.storage and not broken:
        return Stop(
            Stage.TRANSFORM,
            Outcome.UNSUPPORTED,
            f"cannot transform: {text}: {said(ending.cause)}",
            found,
        )
    end = stop_for(Stage.TRANSFORM, ending, f"the transform {text}")
    return Stop(end.stage, end.outcome, end.reason, found)
