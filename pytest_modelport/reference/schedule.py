"""Noise evaluations of a subject: which run at the same time, and what they made of its calls."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from pytest_modelport.core.arrays import Array, read_arrays
from pytest_modelport.isolation.threads import xdist_workers
from pytest_modelport.reference.expected import Expected, ExpectedCall

T = TypeVar("T")
#: More processes than this take memory rather than save time.
_MOST = 4
#: Kilobytes by which a process may grow in eager, to evaluate beside others under noise, where it
#: takes several times as much.
_GROWTH = 1 << 18


@dataclass(frozen=True)
class Made:
    """What one evaluation made of one call: arrays, and which of them is what."""

    row: Mapping[str, Any]
    arrays: Sequence[Array]

    def paired(self, step: ExpectedCall) -> list[tuple[Expected, Array]]:
        """Each tensor of the call with what became of it here."""
        pairs = [
            (item, self.arrays[index])
            for item, (_, index) in zip(step.outputs, self.row["outputs"], strict=True)
        ]
        mutated = self.row["mutated"]
        return pairs + [
            (item, self.arrays[mutated[str(key)]])
            for key, item in step.mutated.items()
            if str(key) in mutated
        ]


def made(file: Path, record: Mapping[str, Any]) -> list[Made]:
    """What a file holds: one for each call."""
    arrays = read_arrays(file, record["table"])
    return [Made(row, arrays) for row in record["calls"]]


@dataclass(frozen=True)
class Share:
    """What one process does: some evaluations, by their seeds, of every `step`-th call from the
    `first` on.
    """

    seeds: tuple[int, ...]
    first: int = 0
    step: int = 1

    @property
    def file(self) -> str:
        """The beginning of its files' names."""
        return f"noise-{self.first}"

    def of(self, calls: Sequence[T]) -> Sequence[T]:
        """Its part of them."""
        return calls[self.first :: self.step]


def gathered(
    folder: Path, calls: int, done: Iterable[tuple[Share, Sequence[tuple[str, Mapping[str, Any]]]]]
) -> list[list[Made]]:
    """What became of every call, seed by seed. done: each share with its files and records; the
    files are taken away.
    """
    found: dict[int, dict[int, Made]] = {}
    for share, records in done:
        for seed, (name, record) in zip(share.seeds, records, strict=True):
            found.setdefault(seed, {}).update(
                zip(share.of(range(calls)), made(folder / name, record), strict=True)
            )
            (folder / name).unlink()
    return [[rows[number] for number in range(calls)] for rows in found.values()]


def at_once(grew: int) -> int:
    """How many processes may evaluate at the same time: torch's threads, shared with pytest-xdist's
    other workers.

    grew: what eager took, in kilobytes.
    """
    import torch

    if grew > _GROWTH:
        return 1
    return max(min(torch.get_num_threads() // xdist_workers(), _MOST), 1)


def rounds(seeds: Sequence[int], calls: int, processes: int, *, alone: bool) -> list[list[Share]]:
    """Shares of the work, those of one round at the same time. alone: one evaluation of all calls
    for each process, for a subject that keeps state.
    """
    if alone:
        shares = [Share((seed,)) for seed in seeds]
        return [shares[start : start + processes] for start in range(0, len(shares), processes)]
    if not seeds:
        return []
    by_seed = min(processes, len(seeds))
    by_call = min(processes // by_seed, calls)
    size = -(-len(seeds) // by_seed)
    batches = [tuple(seeds[start : start + size]) for start in range(0, len(seeds), size)]
    return [[Share(batch, first, by_call) for batch in batches for first in range(by_call)]]
