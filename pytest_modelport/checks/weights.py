"""Weights: are the numbers stored in the artifact the model's parameters and buffers?

Parity at a few samples cannot see a weight that hardly matters there; comparing the stored numbers
sees every one of them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from pytest_modelport.backends import registry
from pytest_modelport.checks._weight_matches import Match, Matcher, Norm, missing
from pytest_modelport.checks._weight_views import folded, spacing
from pytest_modelport.cleanroom.room import RoomEnded
from pytest_modelport.core.verdict import Outcome, Stage, Verdict
from pytest_modelport.isolation.stops import stop_for
from pytest_modelport.reference.origins import Origins, depends, origins_of
from pytest_modelport.reference.provenance import KnownTensor
from pytest_modelport.workbench.workbench import Workbench

if TYPE_CHECKING:
    from torch import nn

DEFAULT = True
WHEN = (
    "runs always, unless `checks=` names others; no verdict where a format's numbers cannot be "
    "read back or the model's outputs depend on none"
)
_SHOWN = 5
#: Relative difference of one number in float32 and in an attribute.
_SAME = 1e-6


def run(workbench: Workbench) -> Iterator[Verdict]:
    """One verdict, or none when the artifact stores no numbers, or the subject none that its
    outputs depend on.
    """
    if workbench.quantized:
        return  # its numbers are not the model's: what that costs is asked by `quality`
    workbench, route = workbench.exported if workbench.reshaped else workbench, workbench.route
    reference = workbench.reference
    if registry.format_(workbench.format).constants is None:
        return
    origins = _origins(workbench)
    if not origins.needed:
        return
    try:
        constants = workbench.constants()
    except RoomEnded as ended:
        end = stop_for(Stage.OPEN, ended.ending, "reading the artifact's constants")
        raise replace(end, outcome=Outcome.ERROR) from None
    stored = _stored(workbench.case.module)
    coarse = frozenset(name for name, array in constants if array.dtype == "bfloat16")
    state = frozenset(change.partition(" ")[2] for change in reference.changes)
    matcher = Matcher(
        [*_known(stored), *origins.derived],
        list(_norms(workbench.case.module)),
        state,
        _gated(workbench.case.module),
        coarse,
    )
    floats = [(name, array.numpy()) for name, array in constants if _is_float(array.dtype)]
    matches = [
        match for name, values in floats if (match := matcher.match(name, values)) is not None
    ]
    expected = _expected(workbench, origins)
    absent = missing(matches, expected, stored)
    settings = _other_settings(workbench, origins)
    found = Found(matches, absent, dict(floats), stored, settings, coarse)
    yield replace(_verdict(workbench, found), route=route)


@dataclass(frozen=True)
class Found:
    """What the artifact's constants turned out to be. absent: how much of each needed tensor is
    there, from 0 to 1, where not all of it is. constants, stored: the artifact's and the subject's
    numbers, by name. settings: those of operators that are none of the subject's, in words. coarse:
    constants of bfloat16, which NumPy has as float32.
    """

    matches: Sequence[Match]
    absent: Mapping[str, float]
    constants: Mapping[str, Any]
    stored: Mapping[str, Any]
    settings: Sequence[str] = ()
    coarse: frozenset[str] = frozenset()

    def of_kind(self, kind: str) -> list[Match]:
        return [match for match in self.matches if match.kind == kind]

    @property
    def in_part(self) -> dict[str, str]:
        """The needed tensors of which there is only a part, each in numbers."""
        rows = {name: len(self.stored[name]) for name, part in self.absent.items() if part}
        return {
            name: f"{round(self.absent[name] * count)} of {count} rows of {name} found"
            for name, count in rows.items()
        }

    @property
    def replaced(self) -> dict[str, str]:
        """The needed tensors that are not there and have another one of their size in their place:
        the constant of each.
        """
        unknown = [match.constant for match in self.of_kind("unexplained")]
        found = {}
        for name, part in self.absent.items():
            values = self.stored[name]
            others = [other for other in unknown if self.constants[other].size == values.size]
            fold = any(
                folded(self.constants[other], values, spacing(other, self.coarse))
                for other in others
            )
            if not part and values.ndim > 1 and others and not fold:
                found[name] = others[0]
        return found


def _is_float(dtype: str) -> bool:
    """Numbers of eight bits and less are what a quantization made, not the model's."""
    return dtype.startswith(("float", "bfloat")) and not dtype.startswith(("float8", "float4"))


def _stored(module: nn.Module) -> dict[str, Any]:
    from pytest_modelport.core.tensors import to_array
    from pytest_modelport.reference.provenance import stored_tensors

    return {
        name: to_array(tensor).numpy()
        for name, tensor in stored_tensors(module).items()
        if not tensor.is_complex()
    }


def _origins(workbench: Workbench) -> Origins:
    """Computed once for all routes of a device, as the reference is."""
    key = ("origins", workbench.case.key, workbench.route.device)
    return workbench.workspace.once(key, lambda: origins_of(workbench.reference))


def _expected(workbench: Workbench, origins: Origins) -> list[str]:
    """The tensors that the artifact must hold."""
    if not getattr(registry.format_(workbench.format), "PERSISTENT", False):
        return list(origins.needed)
    kept = workbench.case.module.state_dict()
    return [name for name in origins.needed if name in kept]


def _known(stored: dict[str, Any]) -> list[KnownTensor]:
    return [KnownTensor(name, (name,), values) for name, values in stored.items()]


def _norms(module: nn.Module) -> Iterator[Norm]:
    """Every BatchNorm that can be folded: in eval mode, with running statistics."""
    from torch.nn.modules.batchnorm import _BatchNorm

    from pytest_modelport.core.tensors import to_array

    for path, part in module.named_modules():
        if (
            isinstance(part, _BatchNorm)
            and not part.training
            and part.running_mean is not None
            and part.running_var is not None
        ):
            mean, variance = (
                to_array(tensor).numpy().astype(np.float64)
                for tensor in (part.running_mean, part.running_var)
            )
            gain = to_array(part.weight).numpy() if part.affine else np.ones_like(mean)
            offset = to_array(part.bias).numpy() if part.affine else np.zeros_like(mean)
            scale = gain / np.sqrt(variance + part.eps)
            names = ("running_mean", "running_var", *(("weight", "bias") if part.affine else ()))
            sources = tuple(f"{path}.{name}".lstrip(".") for name in names)
            kind = to_array(part.running_mean).numpy().dtype
            yield Norm(
                sources, scale.astype(kind), (offset - mean * scale).astype(kind), mean.astype(kind)
            )


def _other_settings(workbench: Workbench, origins: Origins) -> list[str]:
    """What operators in the file are set to and no operation of the subject is."""
    settings = getattr(registry.format_(workbench.format), "settings", None)
    if settings is None or not origins.numbers:
        return []
    artifact = workbench.artifact
    known = np.array(origins.numbers, np.float32)
    found = []
    for said, value in settings(artifact.folder, artifact.manifest):
        if isinstance(value, str):
            if origins.words and value not in origins.words:
                found.append(f"{said} is {value!r}, the model's is none of that")
        elif not np.isclose(known, np.float32(value), rtol=_SAME, atol=0).any():
            near = float(known[np.argmin(np.abs(known - value))])
            found.append(f"{said} is {value:g}, the model's is {near:g}")
    return found


def _gated(module: nn.Module) -> frozenset[str]:
    """The tensors of recurrent layers, whose gates exporters put in another order."""
    from torch.nn import RNNBase, RNNCellBase

    return frozenset(
        f"{path}.{name}".lstrip(".")
        for path, part in module.named_modules()
        if isinstance(part, (RNNBase, RNNCellBase))
        for name, _ in part.named_parameters(recurse=False)
    )


def _verdict(workbench: Workbench, found: Found) -> Verdict:
    evidence = {
        "constants": dict(Counter(match.kind for match in found.matches)),
        "damaged": {match.constant: match.detail for match in found.of_kind("damaged")[:_SHOWN]},
        "unexplained": {
            match.constant: match.detail for match in found.of_kind("unexplained")[:_SHOWN]
        },
        "missing": list(found.absent)[:_SHOWN],
    }
    wrong = _wrong(workbench, found)
    outcome = Outcome.FAILED if wrong else Outcome.PASSED
    return workbench.verdict("weights", Stage.COMPARE, outcome, wrong or _counted(found), evidence)


def _wrong(workbench: Workbench, found: Found) -> str:
    """Why the artifact's numbers are not the subject's; empty where they are."""
    if damaged := found.of_kind("damaged"):
        first = damaged[0]
        more = f" ({len(damaged)} such constants)" if len(damaged) > 1 else ""
        return f"constant '{first.constant}' is not the model's: {first.detail}{more}"
    if found.settings:
        return found.settings[0]
    reference = workbench.reference
    for name, said in found.in_part.items():
        if depends(reference, name):
            return f"{said}: the rest is not in the artifact"
    for name, constant in found.replaced.items():
        if depends(reference, name):
            return f"'{name}' is not in the artifact: '{constant}', of its size, is another tensor"
    if found.absent and not found.of_kind("unexplained"):
        name = next(iter(found.absent))
        if depends(reference, name):
            return f"'{name}' is not in the artifact, and the model's outputs depend on it"
    return ""


def _counted(found: Found) -> str:
    kinds = {
        kind: len(found.of_kind(kind))
        for kind in ("same", "rearranged", "folded", "state", "unexplained")
    }
    counted = ", ".join(f"{count} {kind}" for kind, count in kinds.items() if count)
    left = f"; {len(found.absent)} of the model's not found" if found.absent else ""
    return f"constants: {counted or 'none'}{left}"
