"""Weights: are the numbers stored in the artifact the model's parameters and buffers?

Parity at a few samples cannot see a weight that hardly matters there; comparing the stored numbers
sees every one of them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from pytest_modelport.backends import registry
from pytest_modelport.checks._weight_matches import Match, Matcher, Norm, missing
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


def run(workbench: Workbench) -> Iterator[Verdict]:
    """One verdict, or none when the artifact stores no numbers, or the subject none that its
    outputs depend on.
    """
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
    state = frozenset(change.partition(" ")[2] for change in reference.changes)
    matcher = Matcher(
        [*_known(stored), *origins.derived], list(_norms(workbench.case.module)), state
    )
    floats = [(name, array.numpy()) for name, array in constants if _is_float(array.dtype)]
    matches = [
        match for name, values in floats if (match := matcher.match(name, values)) is not None
    ]
    absent = missing(matches, _expected(workbench, origins), stored)
    yield replace(_verdict(workbench, matches, absent), route=route)


def _is_float(dtype: str) -> bool:
    """NumPy has no numbers of eight bits and less."""
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


def _verdict(workbench: Workbench, matches: list[Match], absent: tuple[str, ...]) -> Verdict:
    kinds = Counter(match.kind for match in matches)
    damaged = [match for match in matches if match.kind == "damaged"]
    unexplained = [match for match in matches if match.kind == "unexplained"]
    evidence = {
        "constants": dict(kinds),
        "damaged": {match.constant: match.detail for match in damaged[:_SHOWN]},
        "unexplained": {match.constant: match.detail for match in unexplained[:_SHOWN]},
        "missing": list(absent[:_SHOWN]),
    }
    if damaged:
        first = damaged[0]
        more = f" ({len(damaged)} such constants)" if len(damaged) > 1 else ""
        reason = f"constant '{first.constant}' is not the model's: {first.detail}{more}"
        return workbench.verdict("weights", Stage.COMPARE, Outcome.FAILED, reason, evidence)
    if absent and not unexplained and depends(workbench.reference, absent[0]):
        reason = f"'{absent[0]}' is not in the artifact, and the model's outputs depend on it"
        return workbench.verdict("weights", Stage.COMPARE, Outcome.FAILED, reason, evidence)
    counted = ", ".join(
        f"{kinds[kind]} {kind}"
        for kind in ("same", "rearranged", "folded", "state", "unexplained")
        if kinds[kind]
    )
    return workbench.verdict(
        "weights", Stage.COMPARE, Outcome.PASSED, f"constants: {counted or 'none'}", evidence
    )
