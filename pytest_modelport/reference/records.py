"""From what evaluations wrote down to what each call must give."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pytest_modelport.core.arrays import read_arrays
from pytest_modelport.core.sample import Call
from pytest_modelport.reference.expected import Expected, ExpectedCall, unobserved


def expected_calls(
    scratch: Path, calls: Sequence[Call], eager: Mapping[str, Any], exact: Mapping[str, Any] | None
) -> tuple[ExpectedCall, ...]:
    """What each call must give, by the records of eager and of the oracle; no noise is counted in.
    exact: None where there is no oracle: eager stands in for it.
    """
    eager_arrays = read_arrays(scratch / "eager.bin", eager["table"])
    exact_arrays = read_arrays(scratch / "exact.bin", exact["table"]) if exact else eager_arrays

    def expected(name: str, index: int, exact_index: int, *, changed: bool = False) -> Expected:
        return unobserved(name, eager_arrays[index], exact_arrays[exact_index], changed=changed)

    expected_of_calls = []
    exact_rows = exact["calls"] if exact else eager["calls"]
    for number, (call, row) in enumerate(zip(calls, eager["calls"], strict=True)):
        exact_row = exact_rows[number]
        pairs = zip(row["outputs"], exact_row["outputs"], strict=True)
        outputs = tuple(expected(name, index, other) for (name, index), (_, other) in pairs)
        mutated = {
            int(key): expected(key, index, exact_row["mutated"].get(key, index), changed=True)
            for key, index in row["mutated"].items()
        }
        expected_of_calls.append(ExpectedCall(call, outputs, dict(row["constants"]), mutated))
    return tuple(expected_of_calls)
