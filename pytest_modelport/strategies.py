"""hypothesis strategies for a subject's inputs, the ones the check `shapes` draws from.

@given(samples(Classifier().eval(), torch.randn(2, 3, 32, 32), dynamic_shapes={0: "batch"}))
def test_probabilities_sum_to_one(sample): ...
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hypothesis import strategies as st

from pytest_modelport.recipe import Recipe
from pytest_modelport.sample import Sample


def recipes(factors: Mapping[str, tuple[int | str, ...]], ranges: Mapping[str, tuple[int, int]]) -> st.SearchStrategy[Recipe]:
    """Recipes of these factors, shrinking towards the default of each. ranges: of those that are dims."""

    def option(key: str, options: tuple[int | str, ...]) -> st.SearchStrategy[int | str]:
        listed: st.SearchStrategy[int | str] = st.sampled_from(options)
        return listed | st.integers(*ranges[key]) if key in ranges else listed

    drawn = st.fixed_dictionaries(
        {key: option(key, options) for key, options in factors.items()} | {"seed": st.integers(0, 2**16)}
    )
    return drawn.map(
        lambda found: Recipe({key: value for key, value in found.items() if key == "seed" or value != factors[key][0]})
    )


def samples(
    model: Any,
    args: Any = (),
    kwargs: Mapping[str, Any] | None = None,
    *,
    dynamic_shapes: Any = None,
    domain: str = "finite",
    domains: Mapping[str, tuple[float, float]] | None = None,
) -> st.SearchStrategy[Sample]:
    """Samples inside the declared dims and domains; what the subject itself refuses is among them.

    The arguments are `pytest_modelport.verify`'s. Raises `UsageError` when they make no sense.
    """
    from pytest_modelport import pipeline
    from pytest_modelport.search import space_for

    space = space_for(
        pipeline.case_of(
            model, args, kwargs, dynamic_shapes=dynamic_shapes, search=pipeline.search_of(domain=domain, domains=domains)
        )
    )
    return recipes(space.factors, space.ranges).map(space.build)
