"""hypothesis strategies for a subject's inputs, the ones the check `shapes` draws from.

@given(samples(Classifier().eval(), torch.randn(2, 3, 32, 32), dynamic_shapes={0: "batch"}))
def test_probabilities_sum_to_one(sample): ...
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hypothesis import strategies as st

from pytest_modelport.core.sample import Sample
from pytest_modelport.request.search_options import InputDomain
from pytest_modelport.search.hypothesis_draws import recipes


def samples(
    model: Any,
    args: Any = (),
    kwargs: Mapping[str, Any] | None = None,
    *,
    dynamic_shapes: Any = None,
    domain: str = "finite",
    domains: Mapping[str, InputDomain] | None = None,
) -> st.SearchStrategy[Sample]:
    """Samples inside the declared dims and domains; what the subject itself refuses is among them.

    The arguments are `pytest_modelport.verify`'s. Raises `UsageError` when they make no sense.
    """
    from pytest_modelport.engine.build_case import build_case
    from pytest_modelport.request.options import Options
    from pytest_modelport.search.candidates import space_for

    options = Options(dynamic_shapes=dynamic_shapes, domain=domain, domains=domains)
    space = space_for(build_case(model, args, kwargs, options))
    return recipes(space.factors, space.ranges).map(space.build)
