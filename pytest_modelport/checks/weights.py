"""Weights: are the artifact's constants the subject's parameters and buffers?

Parity at a few samples cannot see a weight that hardly matters there; comparing the stored numbers sees every one of them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from pytest_modelport import shelf
from pytest_modelport.bench import Bench
from pytest_modelport.cleanroom.room import RoomEnded
from pytest_modelport.matching import Known, Match, Matcher, Norm, missing
from pytest_modelport.stopped import stopped
from pytest_modelport.verdict import Outcome, Stage, Verdict

if TYPE_CHECKING:
    from torch import nn

DEFAULT = True
_SHOWN = 5


def run(bench: Bench) -> Iterator[Verdict]:
    """One verdict, or none when the artifact stores no numbers, or the subject none that its outputs depend on."""
    bench, route = bench.exported if bench.reshaped else bench, bench.route
    reference = bench.reference
    if shelf.format_(bench.format).constants is None or not reference.needed:
        return
    try:
        constants = bench.constants()
    except RoomEnded as ended:
        end = stopped(Stage.OPEN, ended.ending, "reading the artifact's constants")
        raise replace(end, outcome=Outcome.ERROR) from None
    stored = _stored(bench.case.module)
    state = frozenset(change.partition(" ")[2] for change in reference.changes)
    matcher = Matcher([*_known(stored), *reference.derived], list(_norms(bench.case.module)), state)
    floats = [(name, array.numpy()) for name, array in constants if _is_float(array.dtype)]
    matches = [match for name, values in floats if (match := matcher.match(name, values)) is not None]
    absent = missing(matches, _expected(bench), stored)
    yield replace(_verdict(bench, matches, absent), route=route)


def _is_float(dtype: str) -> bool:
    """NumPy has no numbers of eight bits and less."""
    return dtype.startswith(("float", "bfloat")) and not dtype.startswith(("float8", "float4"))


def _stored(module: nn.Module) -> dict[str, Any]:
    from pytest_modelport.provenance import stored_tensors
    from pytest_modelport.tensors import to_array

    return {name: to_array(tensor).numpy() for name, tensor in stored_tensors(module).items() if not tensor.is_complex()}


def _expected(bench: Bench) -> list[str]:
    """The tensors that the artifact must hold."""
    if not getattr(shelf.format_(bench.format), "PERSISTENT", False):
        return list(bench.reference.needed)
    kept = bench.case.module.state_dict()
    return [name for name in bench.reference.needed if name in kept]


def _known(stored: dict[str, Any]) -> list[Known]:
    return [Known(name, (name,), values) for name, values in stored.items()]


def _norms(module: nn.Module) -> Iterator[Norm]:
    """Every BatchNorm that can be folded: in eval mode, with running statistics."""
    from torch.nn.modules.batchnorm import _BatchNorm

    from pytest_modelport.tensors import to_array

    for path, part in module.named_modules():
        if (
            isinstance(part, _BatchNorm)
            and not part.training
            and part.running_mean is not None
            and part.running_var is not None
        ):
            mean, variance = (to_array(tensor).numpy().astype(np.float64) for tensor in (part.running_mean, part.running_var))
            gain = to_array(part.weight).numpy() if part.affine else np.ones_like(mean)
            offset = to_array(part.bias).numpy() if part.affine else np.zeros_like(mean)
            scale = gain / np.sqrt(variance + part.eps)
            names = ("running_mean", "running_var", *(("weight", "bias") if part.affine else ()))
            sources = tuple(f"{path}.{name}".lstrip(".") for name in names)
            kind = to_array(part.running_mean).numpy().dtype
            yield Norm(sources, scale.astype(kind), (offset - mean * scale).astype(kind), mean.astype(kind))


def _verdict(bench: Bench, matches: list[Match], absent: tuple[str, ...]) -> Verdict:
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
        reason = f"constant '{first.constant}' is not the subject's: {first.detail}{more}"
        return bench.verdict("weights", Stage.COMPARE, Outcome.FAILED, reason, evidence)
    if absent and not unexplained and bench.reference.depends(absent[0]):
        reason = f"'{absent[0]}' is nowhere in the artifact, and the subject's outputs depend on it"
        return bench.verdict("weights", Stage.COMPARE, Outcome.FAILED, reason, evidence)
    counted = ", ".join(
        f"{kinds[kind]} {kind}" for kind in ("same", "rearranged", "folded", "state", "unexplained") if kinds[kind]
    )
    return bench.verdict("weights", Stage.COMPARE, Outcome.PASSED, f"constants: {counted or 'none'}", evidence)
