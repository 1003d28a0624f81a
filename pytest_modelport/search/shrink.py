"""From a recipe that fails to the ones that explain it: the nearest to the user's sample, and the
smallest.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from pytest_modelport.request.recipes import Recipe

Factors = Mapping[str, tuple[int | str, ...]]
Fails = Callable[[Recipe], bool]
#: What is given up first: how a sample lies in memory, single elements, what it holds, and last its
#: size.
_ORDER = ("layout", "special", "kind", "broadcast", "")


@dataclass(frozen=True)
class Shrunk:
    """nearest: fails, and differs from the sample in nothing that it could do without. smallest:
    the same, with smaller dims.

    probed: for each dim of the nearest recipe, which other sizes fail too and which pass.
    """

    nearest: Recipe
    smallest: Recipe
    probed: Mapping[str, dict[str, list[Any]]]

    def passes(self, key: str) -> str:
        """`; fails also at 3, passes at 2, 8`, where other sizes were tried."""
        sizes = self.probed.get(key, {})
        words = [
            f"{word} at {', '.join(map(str, sizes[kind]))}"
            for kind, word in _WORDS.items()
            if sizes.get(kind)
        ]
        return f" ({'; '.join(words)})" if words else ""


_WORDS = {"fails": "fails also", "passes": "passes"}


def shrunk(
    recipe: Recipe, factors: Factors, fails: Fails, seconds: float = math.inf
) -> Shrunk | None:
    """None when the recipe does not fail by itself. Every question is asked once, and none after so
    many seconds.
    """
    known: dict[str, bool] = {}
    until = time.monotonic() + seconds

    def asked(candidate: Recipe) -> bool:
        if str(candidate) not in known and (not known or time.monotonic() < until):
            known[str(candidate)] = fails(candidate)
        return known.get(str(candidate), False)

    if not asked(recipe):
        return None
    nearest = _nearest(recipe, asked)
    smallest, probed = _smallest(nearest, factors, asked), _probed(nearest, factors, asked)
    return Shrunk(nearest, smallest, {} if time.monotonic() >= until else probed)


def _nearest(recipe: Recipe, fails: Fails) -> Recipe:
    """Take out factor after factor while it still fails, again until nothing more goes."""
    while True:
        keys = sorted(
            (key for key in recipe if key != "seed"),
            key=lambda key: _ORDER.index(key.partition(":")[2]),
        )
        fewer = next((smaller for key in keys if fails(smaller := recipe.without(key))), None)
        if fewer is None:
            bare = recipe.without("seed")
            return bare if "seed" in recipe and fails(bare) else recipe
        recipe = fewer


def _smallest(recipe: Recipe, factors: Factors, fails: Fails) -> Recipe:
    """Each dim as small as it can be while it still fails, one after the other."""
    for key, options in factors.items():
        if isinstance(options[0], int):
            now = recipe.get(key, options[0])
            smaller = sorted(
                option
                for option in options
                if isinstance(option, int) and isinstance(now, int) and option < now
            )
            recipe = next(
                (made for size in smaller if fails(made := recipe.with_(key, size))), recipe
            )
    return recipe


def _probed(recipe: Recipe, factors: Factors, fails: Fails) -> dict[str, dict[str, list[Any]]]:
    found: dict[str, dict[str, list[Any]]] = {}
    for key in recipe:
        options = factors.get(key, ())
        if options and isinstance(options[0], int):
            others = sorted(
                option for option in options if option != recipe[key] and isinstance(option, int)
            )
            made = {
                size: recipe.without(key) if size == options[0] else recipe.with_(key, size)
                for size in others
            }
            found[key] = {"fails": [], "passes": []}
            for size, candidate in made.items():
                found[key]["fails" if fails(candidate) else "passes"].append(size)
    return found
