"""hypothesis strategies for a subject's inputs, the ones the check `shapes` draws from.

@given(samples(Classifier().eval(), torch.randn(2, 3, 32, 32), dynamic_shapes={0: "batch"}))
def test_probabilities_sum_to_one(sample): ...
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hypothesis import strategies as st

from pytest_modelport.drawing import recipes
from pytest_modelport.sample import Sample
from pytest_modelport.searching import Given


def samples(
    model: Any,
    args: Any = (),
    kwargs: Mapping[str, Any] | None = None,
    *,
    dynamic_shapes: Any = None,
    domain: str = "finite",
    domains: Mapping[str, Given] | None = None,
) -> st.SearchStrategy[Sample]:
    """Samples inside the declared dims and domains; what the subject itself refuses is among them.

    The arguments are `pytest_modelport.verify`'s. Raises `UsageError` when they make no sense.
    """
    from pytest_modelport import pipeline
    from pytest_modelport.search import space_for
    from pytest_modelport.searching import search_of

    space = space_for(
        pipeline.case_of(model, args, kwargs, dynamic_shapes=dynamic_shapes, search=search_of(domain=domain, domains=domains))
    )
    return recipes(space.factors, space.ranges).map(space.build)
