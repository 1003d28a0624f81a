"""The oracle against answers known in exact arithmetic or computed in float64 by hand."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from fixtures import hub
from pytest_modelport.core.tensors import is_tensor
from pytest_modelport.core.tree import flatten
from pytest_modelport.reference.dispatch import decomposed
from pytest_modelport.reference.oracle import Oracle

#: A float32 kernel rounds its scalars (epsilons, scales) to float32, and the oracle with it: a
#: little less than 2**-24.
SCALARS = 5e-8


def exact(function, *args, **kwargs):
    oracle = Oracle()
    with torch.no_grad(), decomposed(), oracle:
        result = function(*args, **kwargs)
    return oracle.of(result), oracle


def x(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize(
    ("function", "args"),
    [
        (lambda a, b: a @ b, (x(4, 300), x(300, 5, seed=1))),
        (lambda a: a.exp().sum(-1).log(), (x(3, 50),)),
        (lambda a: (a * a).cumsum(0).sqrt(), (x(30),)),
        (lambda a: F.layer_norm(a, (8,)), (x(2, 8),)),
        (lambda a: F.scaled_dot_product_attention(a, a, a), (x(1, 2, 5, 8),)),
        (lambda a: torch.linalg.svd(a)[1], (x(5, 5),)),
        (lambda a: torch.fft.rfft(a).abs(), (x(32),)),
    ],
)
def test_it_is_the_function_in_float64(function, args):
    found, oracle = exact(function, *args)
    assert found.dtype is torch.float64
    wanted = function(*(arg.double() for arg in args))
    assert (found - wanted).norm() < SCALARS * wanted.norm()
    assert oracle.holes == {}


@pytest.mark.parametrize(
    "module",
    [
        nn.LSTM(4, 5, 2, batch_first=True),
        nn.GRU(4, 5),
        nn.TransformerEncoder(
            nn.TransformerEncoderLayer(4, 2, 8, batch_first=True), 2, enable_nested_tensor=False
        ),
        nn.Sequential(nn.Conv1d(6, 3, 3), nn.BatchNorm1d(3), nn.GELU()),
        nn.MultiheadAttention(4, 2, batch_first=True),
    ],
    ids=lambda module: type(module).__name__,
)
def test_modules_with_fused_kernels_have_one_too(module):
    module = module.eval()
    args = (x(2, 6, 4),) * (3 if isinstance(module, nn.MultiheadAttention) else 1)
    oracle = Oracle()
    with torch.no_grad(), decomposed(), oracle:
        result = module(*args)
    found = [oracle.of(leaf) for _, leaf in flatten(result, is_tensor).leaves]
    with torch.no_grad(), decomposed():
        wanted = module.double()(*(arg.double() for arg in args))
    for left, (_, right) in zip(found, flatten(wanted, is_tensor).leaves, strict=True):
        assert (left - right).norm() < SCALARS * right.norm()
    assert oracle.holes == {}


@pytest.mark.parametrize("name", hub.ARCHITECTURES)
def test_it_runs_every_architecture_without_a_hole(name):
    model, args, kwargs = hub.build(name)
    oracle = Oracle()
    with torch.no_grad(), decomposed(), oracle:
        result = model(*args, **kwargs)
    assert oracle.holes == {}
    for _, leaf in flatten(result, is_tensor).leaves:
        error = (oracle.of(leaf) - leaf.double()).norm() / leaf.double().norm()
        assert 0 < error < 1e-5


def test_views_and_changes_in_place_alias_as_in_eager():
    def function(a):
        y = a / 3
        view = y.t()
        view.mul_(0.1)
        y[0] += view[:, 1]
        y[:, 1].zero_()
        return y

    found, _ = exact(function, x(3, 3))
    assert torch.allclose(found, function(x(3, 3).double()), rtol=1e-7, atol=1e-8)
    assert not torch.equal(found, function(x(3, 3)).double())


def test_it_follows_the_path_that_eager_takes():
    def function(a):
        return a * 2 if a.sum() == 1.0 else a * 0  # true in float32 only

    ten = torch.full((10,), 0.1)
    found, _ = exact(function, ten)
    assert bool(ten.sum() == 1.0) == bool(found[0] != 0)


def test_integers_are_eagers():
    found, _ = exact(lambda a: (a / 3 * 3).floor().long(), torch.tensor([3.0, 7.0]))
    assert found.dtype is torch.int64


def test_a_cast_to_a_narrower_dtype_is_meant():
    found, _ = exact(lambda a: a.half().float(), torch.tensor([1.0001, 0.1]))
    assert torch.equal(found, torch.tensor([1.0001, 0.1]).half().double())


def test_a_cast_to_a_wider_dtype_is_not_rounded():
    found, _ = exact(lambda a: (a / 3).double(), torch.tensor([1.0]))
    assert found.item() == 1 / 3


def test_overflow_is_the_subjects_behaviour():
    found, _ = exact(lambda a: 1 / (a * a), torch.tensor([300.0], dtype=torch.float16))
    assert found.item() == 0.0
    found, _ = exact(torch.nan_to_num, torch.tensor([math.inf]))
    assert found.item() == torch.finfo(torch.float32).max


def test_scalars_are_what_the_kernel_makes_of_them():
    found, _ = exact(lambda a: a * 0.1, torch.tensor([1.0]))
    assert found.item() == torch.tensor(0.1).double().item()


def test_random_numbers_are_the_subjects_own():
    def function(a):
        return F.dropout(a, 0.5, training=True) + torch.rand_like(a)

    torch.manual_seed(3)
    eager = function(x(50))
    torch.manual_seed(3)
    found, _ = exact(function, x(50))
    assert torch.allclose(found, eager.double(), rtol=1e-6)


def test_buffers_keep_their_exact_values_from_call_to_call():
    class Running(nn.Module):
        def __init__(self):
            super().__init__()
            self.register_buffer("mean", torch.zeros(1))

        def forward(self, a):
            self.mean += a.mean() / 3
            return self.mean * 1.0

    module, oracle = Running(), Oracle()
    with torch.no_grad():
        for _ in range(3):
            with oracle:
                result = module(torch.ones(1))
    assert oracle.of(result).item() == pytest.approx(1.0, abs=1e-15)
    assert result.item() == pytest.approx(1.0, abs=1e-6)


def test_an_operation_without_a_float64_kernel_is_a_named_hole():
    @torch.library.custom_op("modelport_tests::only_float", mutates_args=())
    def only_float(a: torch.Tensor) -> torch.Tensor:
        if a.dtype is not torch.float32:
            raise NotImplementedError("float32 only")
        return a * 2

    found, oracle = exact(lambda a: only_float(a) / 3, torch.tensor([1.0]))
    assert oracle.holes == {"modelport_tests.only_float.default": "float32 only"}
    assert found.item() == pytest.approx(2 / 3, abs=1e-15)


def test_empty_tensors_may_change_in_place():
    found, oracle = exact(lambda a: a.clone().relu_().add_(1), torch.zeros(0, 3))
    assert found.shape == (0, 3)
    assert oracle.holes == {}


@pytest.mark.parametrize("dtype", [torch.float32, torch.complex64, torch.float16])
def test_a_single_number_that_is_not_finite_is_eagers_and_the_others_are_exact(dtype):
    given = torch.tensor([1.0, 3.0, torch.finfo(dtype).max], dtype=dtype)
    found, _ = exact(lambda a: a * 2 / 3 * 1.5, given)
    assert found[:2].tolist() == pytest.approx([1.0, 3.0], rel=1e-3)
    assert not found[2].isfinite()


def test_a_shadow_is_not_shared_with_what_is_changed_later():
    def twice(a):
        b = a * 3
        c = b.clone()
        b.add_(1)
        return torch.cat([b, c])

    found, _ = exact(twice, x(4))
    assert torch.equal(found, torch.cat([x(4).double() * 3 + 1, x(4).double() * 3]))


def test_shadows_of_what_is_gone_are_let_go():
    oracle = Oracle()
    with torch.no_grad(), oracle:
        value = x(1000)
        for _ in range(1000):
            value = value * 1.01
    assert len(oracle._shadows) < 200


def test_a_cast_to_eight_bits_is_meant_too():
    found, oracle = exact(lambda a: a.to(torch.float8_e5m2).float() * 3, x(50))
    assert torch.equal(found, x(50).to(torch.float8_e5m2).double() * 3)
    assert oracle.holes == {}
