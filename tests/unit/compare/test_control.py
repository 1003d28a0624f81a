"""A judgement that passes an answer known to be wrong has proven nothing, and says so."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from pytest_modelport import Outcome
from pytest_modelport.compare.comparison import compare
from pytest_modelport.compare.control import controls
from pytest_modelport.compare.judge import judge
from pytest_modelport.core.arrays import Array
from pytest_modelport.reference.expected import unobserved
from pytest_modelport.request.tolerance import Tolerance

VALUES = np.linspace(-2, 3, 12, dtype=np.float32).reshape(3, 4)


def outcomes(values, tolerance, *, noise=1e-7):
    """Of the answer itself, and of each control."""
    eager = Array.of(values)
    expected = unobserved("output", eager, eager)
    if expected.noise.undecided is None:
        expected.noise.add(*[np.full(values.shape, noise)] * 2)
    fixed = tolerance.for_dtype("float32") if tolerance.fixed else None

    def of(answer):
        return judge(compare("args", expected, answer, fixed), tolerance).outcome

    comparison = compare("args", expected, eager, fixed)
    made = list(controls(expected, eager, comparison, tolerance, fixed=tolerance.fixed))
    return of(eager), [of(control.answer) for control in made]


@pytest.mark.parametrize(
    ("values", "tolerance"),
    [
        (VALUES, Tolerance()),
        (VALUES, Tolerance(rtol=1e-3, atol=1e-5)),
        (VALUES, Tolerance(sqnr_db=30.0)),
        (VALUES.astype(np.float16), Tolerance()),
        (np.arange(6), Tolerance()),
        (np.array([True, False]), Tolerance()),
    ],
    ids=["noise", "fixed", "steps", "float16", "integers", "bools"],
)
def test_every_control_is_red(values, tolerance):
    own, wrong = outcomes(values, tolerance)
    assert own is Outcome.PASSED
    assert wrong == [Outcome.FAILED]


def test_where_noise_is_visible_zeros_are_tried_too():
    own, wrong = outcomes(VALUES, Tolerance(), noise=0.1)
    assert own is Outcome.PASSED
    assert wrong == [Outcome.FAILED, Outcome.FAILED]


class Centred(nn.Module):
    """float32 keeps about one digit of what is left."""

    def forward(self, x):
        return (x + 2.0**20) - 2.0**20


def test_an_answer_as_large_as_its_own_rounding_proves_nothing(prove):
    x = torch.randn(64, generator=torch.Generator().manual_seed(0)) * 0.2
    verdict = prove(["torchscript"], Centred(), x, checks=("parity",)).verdicts[0]
    assert verdict.outcome is Outcome.INCONCLUSIVE
    assert "zeros in its place would pass as well" in verdict.reason


def test_green_says_what_would_have_been_seen(prove):
    verdict = prove(["torchscript"], nn.Linear(4, 3).eval(), torch.ones(2, 4)).verdicts[0]
    assert 0 < verdict.evidence["would_have_seen"] < 1e-4
