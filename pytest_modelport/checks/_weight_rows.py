"""A constant as rows of the subject's tensors: which rows, in which order, and how many of each
tensor.

What exporters make of rows: a tensor whole or cut into slices, tensors one after the other, and the
gates of a recurrent layer in another order. Any other order is another table.
"""

from __future__ import annotations

import itertools
import math
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from pytest_modelport.reference.provenance import KnownTensor

Rows = npt.NDArray[Any]
#: The gates of an RNN, a GRU and an LSTM.
_GATES = (2, 3, 4)
#: Equal rows that are tried as the beginning of a run.
_TRIED = 8


@dataclass(frozen=True)
class Run:
    """Consecutive rows of one tensor, in a constant from row `at` on."""

    at: int
    item: int
    start: int
    length: int

    @property
    def stop(self) -> int:
        return self.start + self.length


class Pieces:
    """Every known tensor cut into pieces of one width, found by their bytes."""

    def __init__(self, known: Sequence[KnownTensor], width: int, dtype: np.dtype[Any]) -> None:
        self.known, self.width = known, width
        self.rows: dict[int, Rows] = {}
        self.places: dict[bytes, list[tuple[int, int]]] = defaultdict(list)
        for number, item in enumerate(known):
            values = item.values
            fits = values.size and values.ndim and values.shape[-1] % width == 0
            if not fits or values.dtype != dtype:
                continue
            rows = np.ascontiguousarray(values).reshape(-1, width)
            self.rows[number] = _bytes(rows)
            for row, piece in enumerate(self.rows[number]):
                self.places[piece.tobytes()].append((number, row))

    def known_rows(self, rows: Rows) -> list[bool]:
        """For each row of a constant whether some tensor has it."""
        return [row.tobytes() in self.places for row in _bytes(rows)]

    def runs(self, rows: Rows) -> list[Run]:
        """The constant's rows, all of them known, in as long runs as can be had."""
        found, at, raw = [], 0, _bytes(rows)
        while at < len(raw):
            places = self.places[raw[at].tobytes()][:_TRIED]
            best = max((self._run(raw, at, *place) for place in places), key=lambda run: run.length)
            found.append(best)
            at += best.length
        return found

    def _run(self, raw: Rows, at: int, item: int, start: int) -> Run:
        rows = self.rows[item]
        most = min(len(raw) - at, len(rows) - start)
        differing = np.flatnonzero((raw[at : at + most] != rows[start : start + most]).any(axis=1))
        return Run(at, item, start, int(differing[0]) if differing.size else most)

    def misplaced(self, runs: Iterable[Run], gated: frozenset[str]) -> tuple[Run, str] | None:
        """The first run that stands where no exporter puts it, and the name of its tensor. gated:
        tensors of recurrent layers.
        """
        for item, own in self._by_item(runs):
            count = len(self.rows[item])
            whole = [run for run in own if run.length < count]
            ordered = all(one.stop <= two.start for one, two in itertools.pairwise(whole))
            if ordered or (gated.issuperset(self.known[item].sources) and _gates(whole, count)):
                continue
            last = 0
            for run in whole:
                if run.start < last:
                    return run, self.known[item].label
                last = run.stop
        return None

    def _by_item(self, runs: Iterable[Run]) -> Iterator[tuple[int, list[Run]]]:
        found: dict[int, list[Run]] = defaultdict(list)
        for run in runs:
            found[run.item].append(run)
        yield from found.items()

    def covered(self, runs: Iterable[Run]) -> dict[str, list[tuple[float, float]]]:
        """Which part of each stored tensor the runs are, as shares of it from 0 to 1."""
        parts: dict[str, list[tuple[float, float]]] = {}
        for item, own in self._by_item(runs):
            count = len(self.rows[item])
            if not self.known[item].computed:
                [name] = self.known[item].sources
                parts[name] = [(run.start / count, run.stop / count) for run in own]
        return parts


def _bytes(rows: Rows) -> Rows:
    raw = np.ascontiguousarray(rows)
    return raw.view(np.uint8).reshape(len(raw), -1)


def _gates(runs: Sequence[Run], count: int) -> bool:
    """Whether these are a few equal blocks in some order, each once."""
    step = math.gcd(count, *(run.start for run in runs), *(run.length for run in runs))
    seen = [block for run in runs for block in range(run.start // step, run.stop // step)]
    return count // step in _GATES and len(set(seen)) == len(seen)


def share(parts: Iterable[tuple[float, float]]) -> float:
    """How much of a tensor these parts are together, from 0 to 1."""
    total = last = 0.0
    for start, stop in sorted(parts):
        total += max(stop - max(start, last), 0.0)
        last = max(last, stop)
    return total
