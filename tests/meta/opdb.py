"""torch's own samples of every operator through the oracle and the noise, beside eager. Prints what
does not agree as JSON.

A process of its own: torch's test utilities forbid the whole process to set flags.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Iterator
from typing import Any

import torch
from torch.utils._pytree import tree_flatten

from benchmarks.opdb.suites import REFUSALS, copied, op_infos, sampled
from pytest_modelport.reference.dispatch import decomposed
from pytest_modelport.reference.noise import MonteCarlo
from pytest_modelport.reference.oracle import Oracle

#: Samples of each operator and dtype.
SAMPLES = 6
#: How far, relative to the largest element, the oracle and one evaluation of the noise may lie.
ORACLE, NOISE = 1e-4, 1e-3


def agrees(eager: Any, other: Any, far: float, read: Any) -> str:
    """What is wrong with another evaluation of a result; empty where nothing is."""
    for wanted, made in zip(tree_flatten(eager)[0], tree_flatten(other)[0], strict=True):
        dense = isinstance(wanted, torch.Tensor) and wanted.layout is torch.strided
        if not dense or not (wanted.is_floating_point() or wanted.is_complex()):
            continue
        found = read(made).resolve_conj().resolve_neg()
        if found.shape != wanted.shape:
            return f"shape {tuple(found.shape)}"
        values = wanted.to(found.dtype)
        finite = torch.isfinite(values)
        if not torch.isfinite(found[finite]).all():
            return "not finite"
        apart = (found - values)[finite].abs()
        if apart.numel() and apart.max() > far * values[finite].abs().max() + 1e-6:
            return "elsewhere"
    return ""


def samples(op: Any, dtype: torch.dtype) -> Iterator[tuple[Any, Any]]:
    """Arguments, and eager's result; those that eager refuses are left out."""
    for sample in list(sampled(op, dtype))[:SAMPLES]:
        given = ((sample.input, *sample.args), sample.kwargs)
        try:
            yield given, evaluated(op, given)
        except REFUSALS:
            continue


def evaluated(op: Any, given: Any) -> Any:
    """One evaluation, on copies and from the same seed."""
    torch.manual_seed(1)
    args, kwargs = copied(given)
    with torch.no_grad():
        return op.op(*args, **kwargs)


def of_oracle(op: Any, given: Any, eager: Any) -> str:
    oracle = Oracle()
    with decomposed(), oracle:
        made = evaluated(op, given)
    return agrees(eager, made, ORACLE, oracle.of)


def of_noise(op: Any, given: Any, eager: Any) -> str:
    with MonteCarlo(0):
        made = evaluated(op, given)
    return agrees(eager, made, NOISE, lambda tensor: tensor)


def main() -> None:
    warnings.simplefilter("ignore")
    torch.manual_seed(0)
    found: dict[str, str] = {}
    count = 0
    for name, op, dtype in op_infos(torch.float32, torch.complex64):
        for given, eager in samples(op, dtype):
            count += 1
            for what, ask in (("oracle", of_oracle), ("noise", of_noise)):
                try:
                    said = ask(op, given, eager)
                except Exception as error:  # noqa: BLE001 - whatever it is, it is a finding
                    said = type(error).__name__
                if said:
                    found[f"{what}: {name} {str(dtype).removeprefix('torch.')}"] = said
    print(json.dumps({"count": count, "found": found}))


if __name__ == "__main__":
    main()
