"""Every transform on every target against the table of what really becomes of trained networks
(fixtures/transforming.json).

All of it with `--full`; otherwise one row in sixty, always the same.
"""

from __future__ import annotations

import pytest

from fixtures import transforming
from pytest_modelport.backends import registry
from pytest_modelport.core.verdict import worst
from pytest_modelport.request.transform_chain import chain_of

CELLS = [
    pytest.param(*cell, marks=pytest.mark.full if number % 60 else [])
    for number, cell in enumerate(transforming.cells())
]


@pytest.mark.parametrize(("model", "transform", "target"), CELLS)
def test_what_becomes_of_a_transformed_model_is_what_is_known(
    model, transform, target, prove, needs
):
    steps = () if transform == "none" else chain_of(transform).steps
    parsed = registry.target(target)
    for item in (
        registry.format_(parsed.format),
        registry.runtime(parsed.runtime),
        *(registry.transform(step.name) for step in steps),
    ):
        needs(item.REQUIRES)
    if "quantizer=xnnpack" in transform:
        needs({"executorch": "executorch>=1.0"})
    report = prove(
        [target],
        **transforming.arguments(model, target),
        transforms=[transform],
        checks=("parity", "weights", "quality"),
        name=model,
    )
    verdict = worst(report.verdicts)
    outcome, check, _ = transforming.known()[model, transform, target]
    assert [str(verdict.outcome), verdict.check] == [outcome, check], verdict


def test_the_table_is_about_every_transform():
    named = {
        step.name
        for _, transform, _ in transforming.cells()
        if transform != "none"
        for step in chain_of(transform).steps
    }
    # One needs training: examples/compress, tests/unit/workbench/test_transform_model.py.
    assert named == set(registry.names("transforms")) - {"pt2e_qat"}
    assert set(transforming.known()) == set(transforming.cells())
