"""Recipes that hypothesis draws."""

from __future__ import annotations

from collections.abc import Mapping

from hypothesis import strategies as st

from pytest_modelport.request.recipes import Recipe


def recipes(
    factors: Mapping[str, tuple[int | str, ...]], ranges: Mapping[str, tuple[int, int]]
) -> st.SearchStrategy[Recipe]:
    """Recipes of these factors, shrinking towards the default of each. ranges: of those that are
    dims.
    """

    def option(key: str, options: tuple[int | str, ...]) -> st.SearchStrategy[int | str]:
        listed: st.SearchStrategy[int | str] = st.sampled_from(options)
        return listed | st.integers(*ranges[key]) if key in ranges else listed

    drawn = st.fixed_dictionaries(
        {key: option(key, options) for key, options in factors.items()}
        | {"seed": st.integers(0, 2**16)}
    )
    return drawn.map(
        lambda found: Recipe(
            {
                key: value
                for key, value in found.items()
                if key == "seed" or value != factors[key][0]
            }
        ).settled()
    )
