from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from fixtures import hub
from pytest_modelport.core.tensors import is_tensor
from pytest_modelport.core.tree import flatten
from pytest_modelport.reference.dispatch import decomposed
from pytest_modelport.reference.noise import MonteCarlo
from pytest_modelport.reference.oracle import Oracle

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
        (
            lambda a, b: torch.remainder(a, b),
            (torch.tensor([1e6 + 0.5, 123456.75]), torch.tensor([0.25, 0.5])),
        ),
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
    order = torch.randperm(
        len(half), generator=torch.Generator().manual_seed(0)
    )  # mirrored, one thread's sum may be exact
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
    assert all(
        order(seed, ties, stable=True)[1].tolist() == [0, 1, 2, 3, 4, 5] for seed in range(10)
    )


def test_random_draws_stay_the_subjects_own():
    def run(seed):
        torch.manual_seed(0)
        with MonteCarlo(seed):
            return F.dropout(torch.ones(100), 0.5, training=True)

    assert torch.equal(run(1), run(2))


@pytest.mark.parametrize(
    "function",
    [F.gelu, lambda a: F.gelu(a, approximate="tanh"), F.silu, F.mish, F.softplus, F.logsigmoid],
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
    """A runtime that adds in order is right about a flat image too, although its errors all have
    one sign.
    """
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
    """There is no wider arithmetic to see it with: a model in float64 would have no noise, and
    every other order were wrong.
    """
    rounded = torch.randn(3, 400, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    for terms, moves in (
        (rounded, True),
        (rounded.float().double(), False),
        (torch.tensor([[1e16, 1.0]] * 20).double(), True),
    ):
        with MonteCarlo(0):
            moved = terms.sum(1)
        off = (moved - terms.sum(1)).abs().max()
        assert bool(off > 0) is moves
        assert off <= 1e-13 * terms.abs().sum()


@pytest.mark.parametrize("shape", [(0,), (), (0, 3), (3, 0), (2, 3, 4)])
def test_a_sum_of_any_size_is_moved_or_kept(shape):
    terms = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    for make in (
        torch.sum,
        torch.mean,
        lambda one: one.sum(-1),
        lambda one: one.sum(0, dtype=torch.int64),
    ):
        with MonteCarlo(0):
            moved = make(terms)
        torch.testing.assert_close(moved, make(terms), equal_nan=True)


def test_sums_with_infinities_keep_them():
    terms = torch.randn(30, 40, generator=torch.Generator().manual_seed(0))
    terms[0, 0], terms[1, 1] = float("inf"), float("nan")
    with MonteCarlo(0):
        moved = terms.sum(1)
    assert moved[0] == float("inf")
    assert moved[1].isnan()
    assert 0 < (moved[2:] - terms[2:].sum(1)).abs().max() < 1e-4


@pytest.mark.parametrize("terms", [64, 256, 512, 2048])
@pytest.mark.parametrize("positive", [False, True])
def test_products_scatter_as_sums_made_in_order(terms, positive):
    """In blocks of 1024 terms: whoever adds so is within the noise, and the noise is not far beyond
    that.
    """
    generator = torch.Generator().manual_seed(terms)
    make = torch.rand if positive else torch.randn
    left, right = make(4, terms, generator=generator), make(terms, 30, generator=generator)
    exact = left.double() @ right.double()
    products = left[:, :, None] * right[None]
    blocks = [block.numpy().cumsum(1, dtype=np.float32)[:, -1] for block in products.split(1024, 1)]
    inorder = np.cumsum(np.stack(blocks), 0, dtype=np.float32)[-1]
    noisy = []
    for seed in range(8):
        with MonteCarlo(seed):
            noisy.append((left @ right).double() - exact)
    off = float((torch.from_numpy(inorder).double() - exact).square().mean().sqrt())
    assert 0.2 < off / float(torch.stack(noisy).square().mean().sqrt()) < 1.6


def test_a_product_that_only_selects_is_hardly_moved():
    rows = torch.randn(512, 16, generator=torch.Generator().manual_seed(0))
    chosen = torch.nn.functional.one_hot(torch.arange(0, 512, 7), 512).float()
    with MonteCarlo(0):
        moved = chosen @ rows
    assert ((moved - rows[::7]).abs() <= 2 * torch.finfo(torch.float32).eps * rows[::7].abs()).all()


@pytest.mark.parametrize("scale", [1e-30, 1.0, 1e18, float("inf")])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.float16, torch.bfloat16])
def test_products_of_any_size_and_dtype_are_moved(scale, dtype):
    left = (torch.randn(3, 40, generator=torch.Generator().manual_seed(0)).double() * scale).to(
        dtype
    )
    right = torch.randn(40, 5, generator=torch.Generator().manual_seed(1)).to(dtype)
    plain = left @ right
    with MonteCarlo(0):
        moved = left @ right
    finite = plain.isfinite()
    assert torch.equal(moved.isfinite(), finite)
    off = (moved - plain)[finite].abs().double()
    assert (
        (off <= 20 * torch.finfo(dtype).eps * plain[finite].double().abs().max()).all()
        if off.numel()
        else not finite.any()
    )


@pytest.mark.parametrize("transposed", [False, True])
@pytest.mark.parametrize("groups", [1, 4])
def test_convolutions_are_sums_of_their_kernels_and_channels(transposed, groups):
    kind = nn.ConvTranspose2d if transposed else nn.Conv2d
    torch.manual_seed(0)
    module = kind(64, 32, 3, groups=groups)
    image = torch.randn(1, 64, 12, 12)
    with torch.no_grad():
        plain = module(image)
        exact = module.double()(image.double())
        module.float()
        with MonteCarlo(0):
            moved = module(image)
    terms = 64 // groups * 9
    in_order = math.sqrt(0.54 * terms / 2 / 3) * 2**-24 * float(exact.square().mean().sqrt())
    assert 0.5 < float((moved - plain).double().square().mean().sqrt()) / in_order < 3


@pytest.mark.parametrize(
    "module",
    [
        nn.GroupNorm(4, 32),
        nn.InstanceNorm1d(32),
        nn.InstanceNorm1d(32, affine=True),
        nn.BatchNorm1d(32, track_running_stats=False),
        nn.TransformerEncoderLayer(32, 4, batch_first=True),
    ],
)
def test_formulas_give_what_the_kernels_give(module):
    generator = torch.Generator().manual_seed(0)
    values = torch.randn(2, 32, 32, generator=generator) + 1
    with torch.no_grad():
        plain = module.eval()(values)
        with MonteCarlo(0):
            moved = module(values)
    assert not torch.equal(moved, plain)
    torch.testing.assert_close(moved, plain, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    ("causal", "mask"), [(False, None), (True, None), (False, "bool"), (False, "float")]
)
def test_attention_is_its_formula(causal, mask):
    generator = torch.Generator().manual_seed(0)
    query, key, value = (torch.randn(2, 3, 7, 8, generator=generator) for _ in range(3))
    seen = torch.ones(7, 7, dtype=torch.bool).tril(2)
    seen[3] = False
    given = {None: None, "bool": seen, "float": torch.randn(7, 7, generator=generator)}[mask]

    def attend():
        return nn.functional.scaled_dot_product_attention(
            query, key, value, attn_mask=given, is_causal=causal
        )

    with MonteCarlo(0):
        moved = attend()
    assert not torch.equal(moved, attend())
    torch.testing.assert_close(moved, attend(), rtol=1e-4, atol=1e-5)


def test_selections_are_left_alone():
    """They are not even asked whether they round."""
    values = x(50, 60)
    other = x(50, 60, seed=1)
    selections = [
        lambda: values.amax(-1),
        lambda: values.amin(0),
        lambda: values.max(-1).values,
        lambda: values.min(),
        lambda: torch.maximum(values, other),
        lambda: torch.minimum(values, other),
        lambda: values.clamp(-0.1, 0.3),
        lambda: values.clamp_min(0.1),
        lambda: nn.functional.hardtanh(values, -0.7, 0.7),
        lambda: nn.functional.relu6(values),
        lambda: values.floor() + values.ceil() + values.trunc(),
    ]
    for select in selections:
        with MonteCarlo(0):
            moved = select()
        assert torch.equal(moved, select())
    with MonteCarlo(0):
        rounded = values.round(decimals=2), torch.complex(values, other).abs()
    assert not torch.equal(rounded[0], values.round(decimals=2))
    assert not torch.equal(rounded[1], torch.complex(values, other).abs())


@pytest.mark.parametrize(
    ("order", "dims"), [(2, -1), (1, (0, 1)), (2, None), (3, -1), (float("inf"), -1)]
)
def test_norms_are_their_formulas(order, dims):
    values = torch.randn(5, 700, generator=torch.Generator().manual_seed(0))
    with MonteCarlo(0):
        moved = torch.linalg.vector_norm(values, order, dims)
    torch.testing.assert_close(
        moved, torch.linalg.vector_norm(values, order, dims), rtol=1e-5, atol=0
    )


def test_running_sums_scatter_more_the_longer_they_run():
    terms = torch.randn(200, 1000, generator=torch.Generator().manual_seed(0))
    with MonteCarlo(0):
        off = (terms.cumsum(1).double() - terms.double().cumsum(1)).square().mean(0).sqrt()
        assert torch.equal(torch.ones(9).cumsum(0), torch.arange(1.0, 10))
    assert off[900:].mean() > 5 * off[90:110].mean() > 0


@pytest.mark.parametrize("name", ["mm", "addmm", "cumsum", "sum"])
def test_what_is_written_into_a_tensor_of_the_users_is_moved_there(name):
    generator = torch.Generator().manual_seed(0)
    left, right = torch.randn(40, 40, generator=generator), torch.randn(40, 40, generator=generator)
    make = {
        "mm": lambda out: torch.mm(left, right, out=out),
        "addmm": lambda out: torch.addmm(left, left, right, out=out),
        "cumsum": lambda out: torch.cumsum(left, 1, out=out),
        "sum": lambda out: torch.sum(left, 1, out=out),
    }[name]
    plain = make(torch.empty(0))
    out = torch.empty_like(plain)
    with MonteCarlo(0):
        result = make(out)
    assert result is out
    assert not torch.equal(out, plain)
    torch.testing.assert_close(out, plain, rtol=1e-4, atol=1e-5)


def test_a_running_sum_in_another_dtype_keeps_it():
    terms = torch.randn(3, 40, generator=torch.Generator().manual_seed(0))
    with MonteCarlo(0):
        assert terms.cumsum(1, dtype=torch.float64).dtype is torch.float64
        assert terms.cumsum(0).dtype is torch.float32


@pytest.mark.parametrize("shape", [(300_000,), (3, 100_000)])
def test_large_tensors_are_moved_like_small_ones(shape):
    """They are looked at in pieces; what is not rounded stays, whatever the rest of its piece does."""
    values = x(*shape)
    values.view(-1)[::3] = 0
    with torch.no_grad(), MonteCarlo(0):
        halved, grown, less = values * 0.5, values.exp(), values < 0.1
    assert torch.equal(halved, values * 0.5)
    assert torch.equal(less, values < 0.1)
    units = (
        (grown.double() - values.double().exp()) / values.exp() / torch.finfo(torch.float32).eps
    ).flatten()
    assert not units[::3].any()  # exp(0)
    for part in units.split(50_000):
        rest = part[part != 0]
        assert len(rest) > 30_000
        assert 0.5 < rest.square().mean().sqrt() < 0.8
        assert rest.abs().max() < 2.1
