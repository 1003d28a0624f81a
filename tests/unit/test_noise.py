from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from fixtures import hub
from pytest_modelport.noise import MonteCarlo
from pytest_modelport.oracle import Oracle, decomposed
from pytest_modelport.tensors import is_tensor
from pytest_modelport.tree import flatten

EVALUATIONS = 8


def x(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def spread(function, *args, amplitude=1.0):
    """Eager's error and the noise evaluations' errors (rms), against the oracle."""
    oracle = Oracle()
    with torch.no_grad():
        eager = function(*args)
        with decomposed(), oracle:
            truth = oracle.of(function(*args))
        noisy = []
        for seed in range(EVALUATIONS):
            with MonteCarlo(seed, amplitude):
                noisy.append(function(*args))

    def error(value):
        return (value.double() - truth).pow(2).mean().sqrt().item()

    return error(eager), [error(value) for value in noisy]


@pytest.mark.parametrize(
    ("function", "args"),
    [
        (lambda a, b: a @ b, (x(4, 4096), x(4096, 8, seed=1))),
        (lambda a: F.layer_norm(a, (64,)), (x(8, 64),)),
        (lambda a: a.softmax(-1), (x(8, 64),)),
        (lambda a: torch.linalg.inv(a), (x(8, 8) + 4 * torch.eye(8),)),
        (lambda a: F.conv2d(a, x(4, 3, 3, 3, seed=2)), (x(2, 3, 9, 9),)),
        (lambda a: (a.exp() + 1).log(), (x(64),)),
    ],
)
def test_it_is_about_as_large_as_eagers_own_error(function, args):
    eager, noisy = spread(function, *args)
    typical = math.sqrt(sum(value**2 for value in noisy) / len(noisy))
    assert 0.5 * eager < typical < 6 * eager


@pytest.mark.parametrize(
    ("function", "args"),
    [
        (lambda a: a * 2, (x(20),)),
        (lambda a: a.relu() - a.abs().neg(), (x(20).round(),)),
        (lambda a: a.gather(0, a.argsort(stable=True)), (x(20),)),
        (lambda a: a.half().float(), (x(20),)),
        (lambda a, b: torch.remainder(a, b), (torch.tensor([1e6 + 0.5, 123456.75]), torch.tensor([0.25, 0.5]))),
        (lambda a: F.max_pool1d(a[None], 2)[0], (x(1, 20),)),
        (lambda a: torch.floor(a / 2), (torch.tensor([7.0, -7.0, 4.0]),)),
    ],
)
def test_what_is_not_rounded_does_not_move(function, args):
    assert spread(function, *args) == (0.0, [0.0] * EVALUATIONS)


def test_the_same_seed_gives_the_same_evaluation():
    def run(seed):
        with MonteCarlo(seed):
            return (x(30) / 3).exp()

    assert torch.equal(run(1), run(1))
    assert not torch.equal(run(1), run(2))


def test_a_cancelling_sum_is_as_uncertain_as_its_terms():
    half = x(100_000) * 100
    order = torch.randperm(len(half), generator=torch.Generator().manual_seed(0))  # mirrored, one thread's sum may be exact
    eager, noisy = spread(torch.sum, torch.cat([half, -half[order]]))
    assert max(noisy) > 1e-3
    assert eager < 10 * max(noisy)


def test_ties_are_broken_at_random_and_only_they():
    def order(seed, values, **options):
        with MonteCarlo(seed):
            return values.sort(**options)

    ties = torch.tensor([1.0, 1.0, 1.0, 1.0, 1.0, 1.0])
    assert len({tuple(order(seed, ties)[1].tolist()) for seed in range(10)}) > 1
    assert all(torch.equal(order(seed, ties)[0], ties) for seed in range(10))
    distinct = x(50)
    assert all(torch.equal(order(seed, distinct)[1], distinct.argsort()) for seed in range(10))
    assert all(order(seed, ties, stable=True)[1].tolist() == [0, 1, 2, 3, 4, 5] for seed in range(10))


def test_random_draws_stay_the_subjects_own():
    def run(seed):
        torch.manual_seed(0)
        with MonteCarlo(seed):
            return F.dropout(torch.ones(100), 0.5, training=True)

    assert torch.equal(run(1), run(2))


@pytest.mark.parametrize(
    "function", [F.gelu, lambda a: F.gelu(a, approximate="tanh"), F.silu, F.mish, F.softplus, F.logsigmoid]
)
def test_formulas_of_activations_are_the_activations(function):
    values = torch.linspace(-12, 30, 500)
    eager, noisy = spread(function, values)
    assert max(noisy) < 20 * eager + 1e-6
    far_out = torch.linspace(-9, -6, 100)
    eager, noisy = spread(function, far_out)
    assert max(noisy) < 1e-5


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64, torch.complex64])
def test_other_dtypes_have_noise_of_their_own_size(dtype):
    function, args = (lambda a, b: a @ b), (x(8, 64).to(dtype), x(64, 8, seed=1).to(dtype))
    with torch.no_grad():
        eager = function(*args)
        with MonteCarlo(0):
            noisy = function(*args)
    relative = ((noisy - eager).abs().double().norm() / eager.abs().double().norm()).item()
    eps = torch.finfo(dtype).eps
    assert 0.05 * eps < relative < 20 * eps


@pytest.mark.parametrize("name", hub.ARCHITECTURES)
def test_every_architecture_has_noise_around_eagers_error(name):
    model, args, kwargs = hub.build(name)
    oracle = Oracle()

    def leaves(value):
        return [leaf for _, leaf in flatten(value, is_tensor).leaves]

    with torch.no_grad():
        eager = leaves(model(*args, **kwargs))
        with decomposed(), oracle:
            truth = [oracle.of(leaf) for leaf in leaves(model(*args, **kwargs))]
        with MonteCarlo(0):
            noisy = leaves(model(*args, **kwargs))
    for one, other, exact in zip(eager, noisy, truth, strict=True):
        assert 0.1 < (other - exact).norm() / (one - exact).norm() < 10


def test_in_place_arithmetic_moves_in_place():
    module = nn.BatchNorm1d(3)
    with MonteCarlo(0), torch.no_grad():
        values = x(4, 3)
        same = values.mul_(1 / 3)
        module(values)
    assert same is values
    assert not torch.equal(values, x(4, 3) * (1 / 3))


@pytest.mark.parametrize("lanes", [1, 8])
def test_sums_of_equal_terms_round_alike(lanes):
    """A runtime that adds in order is right about a flat image too, although its errors all have one sign."""
    used = []
    for value in torch.rand(40, generator=torch.Generator().manual_seed(0)):
        terms = value.expand(1, 4096).clone()
        inorder = sum(np.cumsum(terms[0, lane::lanes].numpy())[-1] for lane in range(lanes)) / 4096
        exact = terms.double().mean()
        moved = []
        for seed in range(16):
            with MonteCarlo(seed):
                moved.append(terms.mean(1).double() - exact)
        spread = torch.cat(moved).square().mean().sqrt()
        used.append(float(abs(float(inorder) - exact) / spread))
    assert max(used) < 2.5, used
    assert max(used) > 0.02, used  # nor is everything forgiven


def test_a_complex_sum_keeps_its_imaginary_part():
    terms = torch.randn(4, 64, dtype=torch.complex64, generator=torch.Generator().manual_seed(0))
    with MonteCarlo(0):
        moved = terms.sum(1)
    off = (moved.to(torch.complex128) - terms.to(torch.complex128).sum(1)).abs().max()
    assert 0 < off < 1e-5


def test_sums_in_float64_are_moved_where_they_round():
    """There is no wider arithmetic to see it with: a model in float64 would have no noise, and every other order were wrong."""
    rounded = torch.randn(3, 400, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    for terms, moves in ((rounded, True), (rounded.float().double(), False), (torch.tensor([[1e16, 1.0]] * 20).double(), True)):
        with MonteCarlo(0):
            moved = terms.sum(1)
        off = (moved - terms.sum(1)).abs().max()
        assert bool(off > 0) is moves
        assert off <= 1e-13 * terms.abs().sum()


@pytest.mark.parametrize("shape", [(0,), (), (0, 3), (3, 0), (2, 3, 4)])
def test_a_sum_of_any_size_is_moved_or_kept(shape):
    terms = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    for make in (torch.sum, torch.mean, lambda one: one.sum(-1), lambda one: one.sum(0, dtype=torch.int64)):
        with MonteCarlo(0):
            moved = make(terms)
        torch.testing.assert_close(moved, make(terms), equal_nan=True)


def test_sums_with_infinities_keep_them():
    terms = torch.randn(3, 40, generator=torch.Generator().manual_seed(0))
    terms[0, 0], terms[1, 1] = float("inf"), float("nan")
    with MonteCarlo(0):
        moved = terms.sum(1)
    assert moved[0] == float("inf")
    assert moved[1].isnan()
    assert 0 < (moved[2] - terms[2].sum()).abs() < 1e-4
