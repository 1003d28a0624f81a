"""A recipe: what about a sample differs from the one the artifact was exported with, in one line of
JSON.

`{"batch": 1, "x:kind": "zeros"}`: the dim `batch` is 1 and the input `x` is all zeros; everything
else is as in the sample.
"""

from __future__ import annotations

import json
from typing import Any

from pytest_modelport.core.errors import UsageError


class Recipe(dict[str, int | str]):
    """Factor -> option. Factors: a dim's name, `INPUT:kind`, `INPUT:layout`, `INPUT:special`,
    `INPUT:broadcast`, and `seed`.
    """

    def without(self, key: str) -> Recipe:
        """The recipe with one factor as in the sample."""
        return Recipe({name: value for name, value in self.items() if name != key})

    def with_(self, key: str, value: int | str) -> Recipe:
        """The recipe with one factor changed."""
        return Recipe({**self, key: value})

    def settled(self) -> Recipe:
        """The recipe without a seed that nothing in it draws from: equal samples have equal
        recipes.
        """
        draws = any(key.endswith((":kind", ":special")) for key in self)
        return self if draws else self.without("seed")

    def __str__(self) -> str:
        return json.dumps(dict(sorted(self.items())))


def recipe(line: str = "{}", **factors: int | str) -> Recipe:
    """A sample to pin in a test, among `samples`: by the line that a failure prints, or by factors.

    `samples=[recipe('{"batch": 1, "x:kind": "zeros"}'), recipe(batch=3)]`. Raises `UsageError`.
    """
    return Recipe({**parse(line), **factors})


def parse(text: str) -> Recipe:
    """The recipe in a line of JSON. Raises `UsageError`."""
    try:
        found: Any = json.loads(text)
    except ValueError as error:
        raise UsageError(f"recipe {text!r} is not JSON: {error}") from None
    if not isinstance(found, dict) or not all(
        isinstance(value, (int, str)) for value in found.values()
    ):
        raise UsageError(f"recipe {text!r} is not a JSON object of numbers and words")
    return Recipe(found)
