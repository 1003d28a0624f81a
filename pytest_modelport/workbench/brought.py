"""An artifact that the user brings: copied, scanned, and sealed before it is opened."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_modelport.backends import registry
from pytest_modelport.backends.result_faults import inspected_faults
from pytest_modelport.cleanroom.workspace import Workspace
from pytest_modelport.core import artifact
from pytest_modelport.core.arrays import Array
from pytest_modelport.core.artifact import Artifact, Manifest, TensorSpec
from pytest_modelport.core.cause import describe
from pytest_modelport.core.verdict import Outcome, Stage
from pytest_modelport.isolation.jobs import Raised
from pytest_modelport.isolation.stops import Stop, evidence_of
from pytest_modelport.request.case import Case
from pytest_modelport.workbench.brought_files import copied, plain, refusal
from pytest_modelport.workbench.look_through import looked_through

if TYPE_CHECKING:
    from torch import nn

    from pytest_modelport.reference.reference import Reference


#: Said of files that are more than numbers and the operators on them.
_PROGRAM = "a file of {} is a program: it did what its builder wrote, with your rights"
#: Inputs, outputs, and which files beside it belong to a file.
Inspected = tuple[tuple[TensorSpec, ...], tuple[TensorSpec, ...], tuple[str, ...]]


def brought(
    workspace: Workspace, case: Case, reference: Reference, format_name: str, path: Path
) -> Artifact:
    """A sealed copy of the user's file, so that what was verified can be told from what is there
    later. Raises `Stop`.
    """
    maker = registry.format_(format_name)
    if not path.exists():
        raise Stop(Stage.OPEN, Outcome.ERROR, f"no artifact at {path}")
    if path.suffix not in maker.SUFFIXES:
        reason = (
            f"{path.name} is not a {format_name} file: those end in {', '.join(maker.SUFFIXES)}"
        )
        raise Stop(Stage.OPEN, Outcome.ERROR, reason)
    plain(path)
    companions: tuple[str, ...] = ()
    with contextlib.suppress(Stop):  # what cannot be read is told of the copy, if nothing worse is
        *_, companions = _inspected(format_name, path)
    folder = workspace.fresh(f"{format_name}-brought")
    copied(path, companions, folder)
    if found := looked_through(folder, timeout=case.timeout, here=workspace.in_process):
        raise refusal(found[0], found)
    inputs, outputs, _ = _inspected(format_name, folder / path.name)
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
        notes=(
            f"this file was proven, nothing was exported: {path}",
            *([_PROGRAM.format(format_name)] if getattr(maker, "PROGRAM", False) else []),
        ),
    )
    return artifact.seal(folder, manifest)


def _inspected(format_name: str, path: Path) -> Inspected:
    """What a file says of itself. Raises `Stop`."""
    try:
        inspected = registry.format_(format_name).inspect(path)
    except Exception as error:  # noqa: BLE001 - a stage border: a file that cannot be read may raise anything
        said = describe(error)
        reason = f"{path.name} cannot be read as {format_name}: {said.headline}"
        raise Stop(Stage.OPEN, Outcome.FAILED, reason, evidence_of(Raised(said))) from None
    registry.hold("formats", format_name, inspected_faults(inspected))
    return inspected


@dataclass(frozen=True)
class Quantized:
    """A brought file whose numbers are rounded, as nobody has told us. said: how it was recognised.
    floors: the row of `quality_floors.FLOORS` that it is held to.
    """

    said: str
    floors: str


#: Integers of eight bits and less, and floats of sixteen.
_INTEGERS, _HALVES = ("int8", "uint8", "int4", "uint4"), ("float16", "bfloat16")
#: Fewer elements are a table of something, not weights.
_WEIGHTS = 16


def quantized(
    artifact: Artifact, module: nn.Module, constants: Sequence[tuple[str, Array]]
) -> Quantized | None:
    """What a file's tensors say of how it was made, beside the dtypes of the model's own."""
    from pytest_modelport.subject.modules import dtypes

    own = dtypes(module)
    rounds = getattr(registry.format_(artifact.manifest.format), "rounds_activations", None)
    activations = rounds is not None and rounds(artifact.folder)
    large = [(name, array) for name, array in constants if math.prod(array.shape) >= _WEIGHTS]
    for kinds in (_INTEGERS, _HALVES):
        found = [(name, array) for name, array in large if array.dtype in kinds]
        if not found or own & {array.dtype for _, array in found}:
            continue
        name, array = found[0]
        kind = "int8_static" if activations else "int8_weight"
        return Quantized(
            f"quantized elsewhere: '{name}' is {array.described}",
            kind if kinds == _INTEGERS else "fp16" if array.dtype == "float16" else "bf16",
        )
    return None
