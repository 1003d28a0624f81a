"""Other evaluations, equally good, of what torch computes in one careful kernel: each within its
noise, and one that is a little worse is not.
"""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from pytest_modelport.compare.comparison import compare
from pytest_modelport.core.tensors import to_array
from pytest_modelport.reference.dispatch import decomposed
from pytest_modelport.reference.expected import unobserved
from pytest_modelport.reference.noise import MonteCarlo
from pytest_modelport.reference.oracle import Oracle

ALLOWED = 2.5
LOGITS = torch.linspace(-14, 6, 400)
ANGLES = torch.linspace(-60, 60, 400)
TURN = 6.283185307179586


def score(function, arguments, answer):
    """How many times the noise of `function` another answer is off."""
    oracle = Oracle()
    with torch.no_grad():
        eager = function(*arguments)
        with decomposed(), oracle:
            truth = oracle.of(function(*arguments))
        expected = unobserved("output", to_array(eager), to_array(truth))
        for seed in range(8):
            with MonteCarlo(seed):
                expected.observe(to_array(function(*arguments)))
    return compare("args", expected, to_array(answer)).score


def dft(x):
    """A Fourier transform as the sums that it is, in float32 and in order."""
    count = x.shape[-1]
    turns = torch.arange(count)[:, None] * torch.arange(count // 2 + 1) % count
    angles = TURN * turns / count
    sums = torch.zeros(*x.shape[:-1], count // 2 + 1, dtype=torch.complex64)
    for place in range(count):
        sums += x[..., place, None] * torch.complex(angles[place].cos(), -angles[place].sin())
    return torch.view_as_real(sums)


FORMULAS = {
    "sigmoid": (torch.sigmoid, (LOGITS,), lambda x: 0.5 + 0.5 * torch.tanh(x / 2)),
    "silu": (F.silu, (LOGITS,), lambda x: x * (0.5 + 0.5 * torch.tanh(x / 2))),
    "softplus": (F.softplus, (LOGITS,), lambda x: torch.log(1 + torch.exp(x))),
    "logsigmoid": (F.logsigmoid, (-LOGITS,), lambda x: -torch.log(1 + torch.exp(-x))),
    "mish": (F.mish, (LOGITS,), lambda x: x * torch.tanh(torch.log(1 + torch.exp(x)))),
    "glu": (
        F.glu,
        (LOGITS,),
        lambda x: x[:200] * (0.5 + 0.5 * torch.tanh(x[200:] / 2)),
    ),
    "elu": (F.elu, (LOGITS * 1e-3,), lambda x: torch.where(x > 0, x, x.exp() - 1)),
    "celu": (F.celu, (LOGITS * 1e-3,), lambda x: torch.where(x > 0, x, x.exp() - 1)),
    "remainder": (
        lambda x: torch.remainder(x, TURN),
        (ANGLES,),
        lambda x: x - torch.floor(x / TURN) * TURN,
    ),
    "fmod": (lambda x: torch.fmod(x, TURN), (ANGLES,), lambda x: x - (x / TURN).trunc() * TURN),
    "lerp": (
        lambda x: torch.lerp(x, x + 1, 0.3),
        (LOGITS,),
        lambda x: x * (1 - 0.3) + (x + 1) * 0.3,
    ),
    "logaddexp": (
        lambda x: torch.logaddexp(x, -x.exp()),
        (LOGITS,),
        lambda x: (x.exp() + (-x.exp()).exp()).log(),
    ),
    "logcumsumexp": (
        lambda x: torch.logcumsumexp(x, 0),
        (LOGITS,),
        lambda x: x.exp().cumsum(0).log(),
    ),
    "xlog1py": (
        lambda x: torch.special.xlog1py(x, x.abs() * 1e-3),
        (LOGITS,),
        lambda x: x * torch.log(1 + x.abs() * 1e-3),
    ),
    "cross entropy": (
        lambda x: F.cross_entropy(torch.stack([x, -x], -1), (x < 0).long(), reduction="none"),
        (LOGITS,),
        lambda x: -torch.log(torch.exp(x.abs()) / (x.exp() + (-x).exp())),
    ),
    "rfft": (
        lambda x: torch.view_as_real(torch.fft.rfft(x)),
        (torch.randn(4, 48, generator=torch.Generator().manual_seed(0)),),
        dft,
    ),
}


@pytest.mark.parametrize("name", FORMULAS)
def test_another_formula_is_within_the_noise(name):
    function, arguments, other = FORMULAS[name]
    assert score(function, arguments, other(*arguments)) < ALLOWED


@pytest.mark.parametrize("name", FORMULAS)
def test_an_answer_that_is_off_by_half_precision_is_not(name):
    function, arguments, _ = FORMULAS[name]
    answer = function(*arguments)
    assert score(function, arguments, answer.half().float()) > ALLOWED


@pytest.mark.parametrize(
    ("function", "other"),
    [
        (torch.expm1, lambda x: x.exp() - 1),
        (torch.log1p, lambda x: (1 + x).log()),
        (lambda x: torch.erfc(x + 4), lambda x: 1 - torch.erf(x + 4)),
        (lambda x: x.double().softmax(-1), lambda x: x.softmax(-1).double()),
    ],
    ids=["expm1", "log1p", "erfc", "softmax in float64"],
)
def test_a_loss_of_precision_is_none_of_these(function, other):
    x = torch.linspace(1e-5, 1e-3, 100)
    assert score(function, (x,), other(x)) > 100


def test_what_is_zero_by_symmetry_has_the_noise_of_its_transform():
    x = torch.randn(4, 12, generator=torch.Generator().manual_seed(0))
    answer = torch.view_as_real(torch.fft.rfft(x)).clone()
    assert (answer[:, 0, 1] == 0).all()
    answer[:, 0, 1] = 1e-7
    assert score(FORMULAS["rfft"][0], (x,), answer) < ALLOWED
    answer[:, 0, 1] = 1e-4
    assert score(FORMULAS["rfft"][0], (x,), answer) > ALLOWED


@pytest.mark.parametrize(
    "function",
    [
        lambda x: torch.remainder(x, 2),
        lambda x: torch.fmod(x, 3),
        lambda x: torch.lerp(x, x + 2, 1.0),
        F.elu,
    ],
)
def test_what_is_exact_stays_so(function):
    x = torch.arange(0.0, 20)
    with MonteCarlo(0):
        assert torch.equal(function(x), function(x.clone()))
        moved = function(x)
    assert torch.equal(moved, function(x))


def test_a_sigmoid_never_changes_sign_and_keeps_its_logarithm():
    x = torch.linspace(-80, -10, 200)
    for seed in range(8):
        with MonteCarlo(seed):
            assert np.isfinite(torch.sigmoid(x).log().numpy()).all()


def test_operations_in_place_have_the_same_noise():
    x = torch.full((1000,), -12.0)
    with MonteCarlo(0):
        one, other = torch.sigmoid(x), x.clone().sigmoid_()
        made, inplace = F.silu(x), F.silu(x.clone(), inplace=True)
    assert torch.allclose(one.std(), other.std(), rtol=0.2)
    assert torch.allclose(made.std(), inplace.std(), rtol=0.2)
    assert one.std() > 1e-8
