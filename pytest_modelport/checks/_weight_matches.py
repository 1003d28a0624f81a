"""Recognising the subject's weights among an artifact's constants, through what exporters do to
them.

Exporters transpose, reshape, repeat, concatenate, reorder (the gates of an LSTM) and fold
(BatchNorm into a convolution). All but the last leave the numbers bit for bit as they were; a fold
is recomputed and compared.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from pytest_modelport.checks._weight_rows import Pieces, Run, share
from pytest_modelport.checks._weight_views import (
    Floats,
    close,
    difference,
    digest,
    distance,
    divisors,
    is_plain,
    is_uniform,
    laid_out,
    near,
    rms,
    spacing,
    views,
)
from pytest_modelport.reference.provenance import KnownTensor

#: Relative distance (L2) up to which a constant is taken for a damaged copy of a weight, rather
#: than something else.
_RESEMBLES = 0.1
#: Share of a constant's chunks that must be the subject's before the others count as damaged.
_MOSTLY = 0.5
#: All of a tensor, but for the rounding of shares.
_WHOLE = 1 - 1e-9


@dataclass(frozen=True, eq=False)
class Norm:
    """A batch normalisation in eval mode: y = scale * x + shift, per channel, with the tensors
    behind both.
    """

    sources: tuple[str, ...]
    scale: Floats
    shift: Floats
    mean: Floats


#: Sources, label, values, and the magnitude whose rounding the values may be off by (0: bit for
#: bit).
_Candidate = tuple[tuple[str, ...], str, Floats, Floats]


@dataclass(frozen=True)
class Match:
    """What one constant turned out to be.

    kind: `same`, `rearranged`, `folded`, `state` (what calling the subject changes, and tracing it
    did), `damaged` or `unexplained`. parts: of the sources that it has parts of only, which, as
    shares from 0 to 1. size: its elements.
    """

    constant: str
    kind: str
    sources: tuple[str, ...] = ()
    detail: str = ""
    parts: Mapping[str, Sequence[tuple[float, float]]] = field(default_factory=dict)
    size: int = 0


@dataclass
class Matcher:
    """Answers what a constant is.

    known: what the subject stores and computes. norms: batch normalisations that may have been
    folded. state: names of stored tensors that calling the subject changes. gated: those of
    recurrent layers. coarse: names of constants of bfloat16, which NumPy has as float32.
    """

    known: list[KnownTensor]
    norms: list[Norm] = field(default_factory=list)
    state: frozenset[str] = frozenset()
    gated: frozenset[str] = frozenset()
    coarse: frozenset[str] = frozenset()

    def __post_init__(self) -> None:
        self._digests: dict[bytes, list[KnownTensor]] = {}
        self._pieces_of: dict[tuple[int, str], Pieces] = {}
        for item in self.known:
            self._digests.setdefault(digest(item.values), []).append(item)

    def match(self, name: str, constant: Floats) -> Match | None:
        """What `constant` is; None when it says nothing (one element, or a mask of two values)."""
        same = self._same(name, constant)
        if same is not None or not constant.size:
            return same
        if is_plain(constant):  # too little to call it damaged: one number, or two
            return self._folded(name, constant)
        rearranged = self._rearranged(name, constant)
        if rearranged is not None and rearranged.kind == "rearranged":
            return rearranged
        described = f"{constant.dtype}{list(constant.shape)}"
        unexplained = Match(name, "unexplained", (), described, size=constant.size)
        return (
            self._folded(name, constant)
            or self._damaged(name, constant)
            or rearranged
            or unexplained
        )

    def _same(self, name: str, constant: Floats) -> Match | None:
        for view in views(constant):
            found = self._digests.get(digest(view))
            if found:
                # What it computes may be one of its tensors again: a weight norm whose gain is its
                # weight's own length.
                found = [*found, *self._equals(name, constant)]
                sources = tuple(dict.fromkeys(source for item in found for source in item.sources))
                return Match(name, "same", sources, found[0].label)
        return None

    def _equals(self, name: str, constant: Floats) -> list[KnownTensor]:
        """What the subject computes, and gives this constant but for rounding."""
        computed = [
            item for item in self.known if item.computed and item.values.size == constant.size
        ]
        views = (
            (item, view) for item in computed for view in laid_out(item.values, constant.shape)
        )
        return [
            item
            for item, view in views
            if close(constant, view, np.abs(view) + rms(view), spacing(name, self.coarse))
        ]

    def _rearranged(self, name: str, constant: Floats) -> Match | None:
        """Rows, or aligned pieces of rows, that are all pieces of the subject's tensors and stand
        as exporters put them; or nearly all: damaged.
        """
        best: tuple[float, Match] | None = None
        for width in divisors(constant.shape[-1] if constant.ndim else 1):
            rows = np.ascontiguousarray(constant).reshape(-1, width)
            if len(rows) < 2:
                continue
            pieces = self._pieces(width, constant.dtype)
            known = pieces.known_rows(rows)
            if all(known):
                return self._arranged(name, pieces, pieces.runs(rows))
            share = sum(known) / len(known)
            if share > _MOSTLY and (best is None or share > best[0]):
                row = known.index(False)
                wrong = len(known) - sum(known)
                detail = f"{wrong} of {len(known)} rows are not the model's, the first is row {row}"
                sources = self._origins(pieces, rows[known])
                best = share, Match(name, "damaged", sources, detail)
        return best[1] if best else None

    def _arranged(self, name: str, pieces: Pieces, runs: Sequence[Run]) -> Match:
        """What a constant is whose rows are all known."""
        items = dict.fromkeys(run.item for run in runs)
        found = [self.known[item] for item in items]
        sources = tuple(dict.fromkeys(source for item in found for source in item.sources))
        if wrong := pieces.misplaced(runs, self.gated):
            run, label = wrong
            detail = (
                f"its rows are {label}'s in another order: "
                f"row {run.at} is row {run.start} of {len(pieces.rows[run.item])}"
            )
            return Match(name, "damaged", sources, detail)
        detail = f"{len(runs)} parts of {', '.join(item.label for item in found[:3])}"
        return Match(name, "rearranged", sources, detail, pieces.covered(runs))

    def _pieces(self, width: int, dtype: np.dtype[Any]) -> Pieces:
        key = (width, str(dtype))
        if key not in self._pieces_of:
            self._pieces_of[key] = Pieces(self.known, width, dtype)
        return self._pieces_of[key]

    def _origins(self, pieces: Pieces, rows: Floats) -> tuple[str, ...]:
        """The tensors that have these rows."""
        places = (pieces.places[row.tobytes()] for row in rows)
        items = dict.fromkeys(item for found in places for item, _ in found)
        return tuple(dict.fromkeys(name for item in items for name in self.known[item].sources))

    def _folded(self, name: str, constant: Floats) -> Match | None:
        """Everything that, computed anew, gives this constant: equal layers are stored once."""
        found = [
            (sources, label)
            for sources, label, values, scale in self._computed(constant)
            if close(constant, values, scale, spacing(name, self.coarse))
        ]
        sources = tuple(dict.fromkeys(source for many, _ in found for source in many))
        return Match(name, "folded", sources, found[0][1]) if found else None

    def _damaged(self, name: str, constant: Floats) -> Match | None:
        """A copy of one tensor, or of a fold, that is close and not equal."""
        best: tuple[float, Match] | None = None
        for sources, label, candidate, scale in self._candidates(constant):
            apart = distance(constant, candidate)
            if apart <= _RESEMBLES and sources and self.state.issuperset(sources):
                return Match(name, "state", sources, label)
            if apart <= _RESEMBLES and (best is None or apart < best[0]):
                wrong = ~near(constant, candidate, scale, spacing(name, self.coarse))
                detail = difference(constant, candidate, wrong, label)
                best = apart, Match(name, "damaged", sources, detail)
        return best[1] if best else None

    def _candidates(self, constant: Floats) -> Iterator[_Candidate]:
        """Everything of the constant's shape that the subject holds or computes, or that folding
        would make.
        """
        for item in self.known:
            if not item.computed:
                for view in laid_out(item.values, constant.shape):
                    yield item.sources, item.label, view, np.zeros_like(view)
        yield from self._computed(constant)

    def _computed(self, constant: Floats) -> Iterator[_Candidate]:
        """What may differ in its rounding: an exporter computes it in another order."""
        for item in self.known:
            if item.computed:
                for view in laid_out(item.values, constant.shape):
                    yield item.sources, item.label, view, np.abs(view) + rms(view)
        for norm in self.norms:
            if norm.scale.size in constant.shape:
                yield from self._normed(norm, constant.shape)

    def _normed(self, norm: Norm, shape: tuple[int, ...]) -> Iterator[_Candidate]:
        if shape == norm.scale.shape:
            yield (
                norm.sources,
                "a BatchNorm's shift",
                norm.shift,
                np.abs(norm.shift) + np.abs(norm.mean * norm.scale),
            )
        for item in self.known:
            for view in laid_out(item.values, shape):
                if shape == norm.scale.shape:
                    size = (
                        np.abs(view * norm.scale)
                        + np.abs(norm.shift)
                        + np.abs(norm.mean * norm.scale)
                    )
                    yield (
                        (*item.sources, *norm.sources),
                        f"{item.label} folded with a BatchNorm",
                        view * norm.scale + norm.shift,
                        size,
                    )
                for axis in (
                    axis
                    for axis, length in enumerate(shape)
                    if length == norm.scale.size and len(shape) > 1
                ):
                    folded = view * norm.scale.reshape(
                        [-1 if i == axis else 1 for i in range(len(shape))]
                    )
                    yield (
                        (*item.sources, *norm.sources),
                        f"{item.label} folded with a BatchNorm",
                        folded,
                        np.abs(folded),
                    )


def missing(
    matches: Iterable[Match], needed: Iterable[str], known: Mapping[str, Floats]
) -> dict[str, float]:
    """How much of each needed tensor is in the file, from 0 to 1, where that is not all of it.
    Uniform ones (all zero, all one) leave no trace and are not expected.
    """
    whole: set[str] = set()
    parts: dict[str, list[tuple[float, float]]] = {}
    for match in matches:
        whole.update(source for source in match.sources if source not in match.parts)
        for source, some in match.parts.items():
            parts.setdefault(source, []).extend(some)
    found = {
        name: 1.0 if name in whole else share(parts.get(name, ()))
        for name in needed
        if not is_uniform(known[name])
    }
    return {name: part for name, part in found.items() if part < _WHOLE}
