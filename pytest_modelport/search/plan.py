"""Which recipes to try, and in which order: every option alone, every pair of options, then
whatever hypothesis draws.

Faults that one factor shows come first and are their own explanation. Pairs find the rest of what
can be planned (measured in benchmarks/discovery.py); the tail is for what no plan foresees.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from pytest_modelport.request.recipes import Recipe

Factors = Mapping[str, tuple[int | str, ...]]
#: Draws beyond those that are wanted, because some come twice, and how often to draw anew where too
#: many did.
_SPARE, _ROUNDS = 10, 4
#: Candidates drawn for each row, of which the one that covers the most new pairs is taken.
_CANDIDATES = 12


def plan(factors: Factors, count: int, seed: int = 0) -> list[Recipe]:
    """Up to `count` recipes, no two alike, in the order they should be tried. factors: options of
    each, the default first.
    """
    found: dict[str, Recipe] = {}
    for recipe in itertools.chain(alone(factors), pairs(factors, seed)):
        if len(found) >= count:
            break
        found.setdefault(str(recipe), recipe)
    return list(found.values())


def together(usual: Mapping[str, Sequence[str]]) -> list[Recipe]:
    """Every input in its first usual way at once, then each in its second, and so on, and all in
    the first once more. usual: ways to fill each input.
    """
    ways = max(map(len, usual.values()), default=0)
    rows = [
        {f"{name}:kind": kinds[number % len(kinds)] for name, kinds in usual.items()}
        for number in (*range(ways), 0)
    ]
    return [Recipe({**row, "seed": seed}) for seed, row in enumerate(rows, 1) if row]


def alone(factors: Factors) -> Iterator[Recipe]:
    """Each option by itself: the first of every factor, then the second of every one, and so on."""
    for column in itertools.zip_longest(
        *([(key, option) for option in options[1:]] for key, options in factors.items())
    ):
        yield from (Recipe({key: option}) for key, option in filter(None, column))


def pairs(factors: Factors, seed: int) -> Iterator[Recipe]:
    """Rows that together hold every pair of options of two factors; a pairwise covering array,
    built greedily.
    """
    rng = np.random.default_rng(seed)
    left = {
        pair
        for (one, options), (other, others) in itertools.combinations(factors.items(), 2)
        for pair in itertools.product(
            ((one, option) for option in options), ((other, option) for option in others)
        )
    }
    while left:
        start = min(left, key=repr)
        rows = [_row(factors, dict(start), rng) for _ in range(_CANDIDATES)]
        covered = [_pairs(row) & left for row in rows]
        best = max(range(_CANDIDATES), key=lambda number: len(covered[number]))
        left -= covered[best]
        changed = {key: option for key, option in rows[best].items() if option != factors[key][0]}
        yield Recipe({**changed, "seed": int(rng.integers(1 << 16))}).settled()


def _row(
    factors: Factors, fixed: dict[str, int | str], rng: np.random.Generator
) -> dict[str, int | str]:
    return {
        key: fixed.get(key, options[int(rng.integers(len(options)))])
        for key, options in factors.items()
    }


def _pairs(row: Mapping[str, int | str]) -> set[tuple[tuple[str, int | str], ...]]:
    return set(itertools.combinations(row.items(), 2))


def tail(
    factors: Factors, ranges: Mapping[str, tuple[int, int]], count: int, known: Sequence[Recipe]
) -> list[Recipe]:
    """`count` more recipes that hypothesis draws, the same each time. Raises `ImportError` without
    hypothesis.
    """
    import hypothesis

    from pytest_modelport.search.hypothesis_draws import recipes

    seen = {str(recipe) for recipe in known}
    found: list[Recipe] = []

    @hypothesis.settings(
        max_examples=count + _SPARE,
        database=None,
        deadline=None,
        phases=[hypothesis.Phase.generate],
        suppress_health_check=list(hypothesis.HealthCheck),
    )
    @hypothesis.given(recipes(factors, ranges))
    def draw(recipe: Recipe) -> None:
        if len(found) < count and str(recipe) not in seen:
            seen.add(str(recipe))
            found.append(recipe)

    for round_ in range(_ROUNDS):  # each draw costs a millisecond: no more of them than are needed
        if len(found) < count:
            hypothesis.seed(round_)(draw)()
    return found
