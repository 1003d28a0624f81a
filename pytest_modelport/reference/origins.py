"""Where a subject's numbers come from: stored tensors, what is computed from them alone, and the
operations of a call.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pytest_modelport.core.arrays import read_arrays
from pytest_modelport.core.tensor_stats import TensorStats
from pytest_modelport.isolation.jobs import Done
from pytest_modelport.reference.provenance import KnownTensor
from pytest_modelport.reference.reference import Reference
from pytest_modelport.reference.trace import Operation, Traced


@dataclass(frozen=True)
class Origins:
    """What the first call's outputs depend on. needed: the stored tensors that they come from.
    numbers, words: what its operations were given beside tensors.
    """

    needed: tuple[str, ...]
    _file: Path
    _record: dict[str, Any]

    @property
    def numbers(self) -> list[float]:
        return list(self._record.get("numbers", ()))

    @property
    def words(self) -> set[str]:
        return set(self._record.get("words", ()))

    @property
    def derived(self) -> list[KnownTensor]:
        """What the subject computes from stored tensors alone: an exporter may store the result."""
        arrays = read_arrays(self._file, self._record["table"])
        return [
            KnownTensor(
                f"a value computed from {', '.join(sources) or 'nothing'}",
                tuple(sources),
                array.numpy(),
                computed=True,
            )
            for sources, array in zip(self._record["derived"], arrays, strict=True)
        ]


def origins_of(reference: Reference) -> Origins:
    """What the outputs depend on: nothing where that cannot be had."""
    from pytest_modelport.reference import evaluate

    name = "origins.bin"
    ending = reference.jobs.run_one(name, evaluate.origins, reference.calls)
    record = ending.value if isinstance(ending, Done) else {"needed": []}
    return Origins(tuple(record["needed"]), reference.jobs.scratch / name, record)


def depends(reference: Reference, name: str) -> bool:
    """Whether the outputs really change when this stored tensor does."""
    from pytest_modelport.reference import evaluate

    file = "without.bin"
    ending = reference.jobs.run_one(file, evaluate.without, reference.calls, name=name)
    if not isinstance(ending, Done):
        return True
    arrays = read_arrays(reference.jobs.scratch / file, ending.value["table"])
    pairs = zip(reference.steps[0].outputs, ending.value["calls"][0]["outputs"], strict=True)
    return any(not arrays[index].same(item.eager) for item, (_, index) in pairs)


def traced(reference: Reference, step: int) -> Traced | None:
    """Every operation of one call; None when it cannot be had."""
    from pytest_modelport.reference import evaluate

    ending = reference.jobs.run_one("trace", evaluate.trace, reference.calls, step=step)
    if not isinstance(ending, Done):
        return None
    return Traced(_operations(ending.value["operations"]), ending.value["outputs"])


def _operations(rows: Sequence[dict[str, Any]]) -> list[Operation]:
    return [
        Operation(
            row["name"],
            row["module"],
            row["source"],
            tuple(row["sources"]),
            tuple(map(TensorStats.from_list, row["signatures"])),
        )
        for row in rows
    ]
