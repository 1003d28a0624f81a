"""From arrays to measurements to outcomes: every way in which a well-known tool says `equal` and
should not.
"""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from pytest_modelport.compare.comparison import compare, windowed
from pytest_modelport.compare.judge import judge
from pytest_modelport.core.errors import UsageError
from pytest_modelport.core.tensors import to_array
from pytest_modelport.core.verdict import Outcome
from pytest_modelport.reference.expected import Expected, Noise, deviations
from pytest_modelport.request.tolerance import NOISE_FACTOR, Tolerance


def expected(values, noise=1e-7, evaluations=17, seed=0):
    """An output of the subject whose evaluations scatter by `noise` (relative to each element)
    around the oracle.
    """
    tensor = values if isinstance(values, torch.Tensor) else torch.tensor(values)
    truth = tensor.numpy()
    if truth.dtype.kind in "iub":
        return Expected(
            "y",
            to_array(tensor),
            truth,
            Noise.none(truth.shape, exact=True),
        )
    oracle = truth.astype(np.float64)
    scatter = Noise.none(oracle.shape)
    generator = np.random.default_rng(seed)
    for _ in range(evaluations):
        off = np.abs(noise * oracle * generator.standard_normal(oracle.shape))
        scatter.add(*[np.nan_to_num(off, posinf=0.0)] * 2)
    return Expected("y", to_array(tensor), oracle, scatter)


def outcome(wanted, got, **options):
    tensor = got if isinstance(got, torch.Tensor) else torch.tensor(got)
    return judge(compare("args", wanted, to_array(tensor)), Tolerance(**options)).outcome


def test_equal_is_equal():
    assert outcome(expected([1.0, 2.0]), [1.0, 2.0]) is Outcome.PASSED


@pytest.mark.parametrize(
    ("values", "got"),
    [
        ([1.0, 2.0], torch.tensor([[1.0, 2.0]])),
        ([[1.0], [2.0], [3.0]], torch.tensor([1.0, 2.0, 3.0])),
        (5.0, torch.tensor([5.0])),
        ([1.0, 2.0], torch.tensor([1.0, 2.0]).double()),
        ([1.0, 2.0], torch.tensor([1.0, 2.0]).half()),
        ([1.0, 2.0], torch.tensor([1, 2])),
        ([1, 2], torch.tensor([1, 2], dtype=torch.int32)),
        ([True, False], torch.tensor([1, 0])),
    ],
)
def test_another_shape_or_dtype_is_wrong_whatever_the_values(values, got):
    assert outcome(expected(values), got) is Outcome.FAILED


@pytest.mark.parametrize("special", [math.nan, math.inf, -math.inf])
def test_nan_and_infinity_stand_where_the_subjects_do(special):
    assert outcome(expected([1.0, special]), [1.0, special]) is Outcome.PASSED
    assert outcome(expected([1.0, special]), [1.0, 2.0]) is Outcome.FAILED
    assert outcome(expected([1.0, 2.0]), [1.0, special]) is Outcome.FAILED
    assert (
        outcome(expected([1.0, special]), [1.0, 7.0 if math.isnan(special) else -special])
        is Outcome.FAILED
    )


def test_all_nan_is_wrong():
    assert outcome(expected([1.0] * 100), [math.nan] * 100) is Outcome.FAILED


@pytest.mark.parametrize("scale", [1e-30, 1e-5, 1.0, 1e30])
def test_zeros_are_not_small_numbers(scale):
    values = torch.randn(50, generator=torch.Generator().manual_seed(0)) * scale
    assert outcome(expected(values), torch.zeros(50)) is Outcome.FAILED


@pytest.mark.parametrize("scale", [1e-30, 1e-5, 1.0])
def test_a_wrong_sign_is_wrong(scale):
    values = torch.randn(50, generator=torch.Generator().manual_seed(0)) * scale
    assert outcome(expected(values), -values) is Outcome.FAILED


def test_a_small_column_is_not_hidden_by_a_large_one():
    values = torch.tensor([[1e6, 1e-5]] * 20)
    assert outcome(expected(values), values) is Outcome.PASSED
    assert outcome(expected(values), torch.tensor([[1e6, 0.0]] * 20)) is Outcome.FAILED
    assert outcome(expected(values[:1]), torch.tensor([[1e6, 0.0]])) is Outcome.FAILED


def test_one_wrong_element_of_a_million_is_found():
    values = torch.randn(1_000_000, generator=torch.Generator().manual_seed(0)) + 3
    got = values.clone()
    got[123_456] *= 1 + 1e-5
    wanted = expected(values, evaluations=6)
    assert outcome(wanted, got) is Outcome.FAILED
    assert compare("args", wanted, to_array(got)).worst.index == (123_456,)


@pytest.mark.parametrize("size", [1, 2, 10, 1000, 100_000])
def test_an_evaluation_like_the_others_passes(size):
    values = torch.rand(size, generator=torch.Generator().manual_seed(1)) + 0.5
    scatter = np.random.default_rng(9)
    for _ in range(20):
        got = torch.from_numpy(
            values.numpy().astype(np.float64) * (1 + 1e-6 * scatter.standard_normal(size))
        ).float()
        assert outcome(expected(values, noise=1e-6), got) is Outcome.PASSED


@pytest.mark.parametrize("size", [10, 1000, 100_000])
def test_an_error_of_several_times_the_noise_does_not(size):
    values = torch.rand(size, generator=torch.Generator().manual_seed(1)) + 0.5
    got = torch.from_numpy(
        values.numpy().astype(np.float64)
        * (1 + 1e-5 * np.random.default_rng(9).standard_normal(size))
    ).float()
    assert outcome(expected(values, noise=1e-6), got) is Outcome.FAILED


def test_noise_is_never_less_than_the_last_place():
    values = torch.tensor([1.0, 1000.0, 1e-20])
    got = torch.nextafter(values, torch.tensor(math.inf))
    assert outcome(expected(values, noise=0.0), got) is Outcome.PASSED
    assert outcome(expected(values, noise=0.0), values * (1 + 1e-6)) is Outcome.FAILED


def test_what_was_flushed_to_zero_is_fair():
    values = torch.tensor([1e-39, 1.0])
    assert outcome(expected(values, noise=0.0), [0.0, 1.0]) is Outcome.PASSED


def test_integers_are_compared_one_by_one():
    assert outcome(expected([2**53, 1]), [2**53 + 1, 1]) is Outcome.FAILED
    assert outcome(expected([True, False]), [True, True]) is Outcome.FAILED


def test_ties_are_undecided_and_only_they():
    wanted = expected([3, 1, 2])
    wanted.noise.undecided[:] = [True, True, False]
    assert outcome(wanted, [1, 3, 2]) is Outcome.INCONCLUSIVE
    assert outcome(wanted, [1, 3, 0]) is Outcome.FAILED
    assert outcome(wanted, [1, 3, 2], undecided=0.7) is Outcome.PASSED
    assert outcome(wanted, [1, 3, 2], undecided=0.5) is Outcome.INCONCLUSIVE


def test_noise_that_is_not_finite_passes_nothing():
    wanted = expected([1.0, 2.0])
    wanted.noise.add(np.array([0.0, math.inf]), np.array([0.0, math.inf]))
    assert outcome(wanted, [1.0, 5.0]) is Outcome.INCONCLUSIVE
    assert outcome(wanted, [1.5, 2.0]) is Outcome.FAILED
    assert outcome(wanted, [1.0, 2.0]) is Outcome.PASSED


def test_noise_beyond_the_dtypes_worth_passes_only_what_equals_eager():
    wanted = expected(torch.rand(100) + 1, noise=0.3)
    port = torch.rand(100) + 1
    assert (
        judge(compare("args", wanted, to_array(port)), Tolerance()).outcome is Outcome.INCONCLUSIVE
    )
    assert (
        judge(compare("args", wanted, to_array(port)), Tolerance(), linear=lambda: True).outcome
        is Outcome.PASSED
    )
    assert judge(compare("args", wanted, wanted.eager), Tolerance()).outcome is Outcome.PASSED


def test_the_users_tolerance_replaces_the_measured_one():
    wanted = expected([1.0, 2.0])
    fixed = Tolerance(rtol=0.1, atol=0.0).for_dtype("float32")
    near = compare("args", wanted, to_array(torch.tensor([1.05, 2.0])), fixed)
    far = compare("args", wanted, to_array(torch.tensor([1.2, 2.0])), fixed)
    assert judge(near, Tolerance(rtol=0.1, atol=0.0)).outcome is Outcome.PASSED
    assert judge(far, Tolerance(rtol=0.1, atol=0.0)).outcome is Outcome.FAILED
    assert far.score == pytest.approx(2.0, rel=1e-3)


def test_without_noise_the_dtypes_table_decides():
    wanted = expected([1.0])
    fixed = Tolerance().for_dtype("float32")
    assert (
        judge(
            compare("a", wanted, to_array(torch.tensor([1.000001])), fixed),
            Tolerance(),
            fallback=True,
        ).outcome
        is Outcome.PASSED
    )
    assert (
        judge(
            compare("a", wanted, to_array(torch.tensor([1.001])), fixed), Tolerance(), fallback=True
        ).outcome
        is Outcome.FAILED
    )


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"rtol": 1e-3}, "rtol without atol"),
        ({"atol": 1e-3}, "atol without rtol"),
        ({"rtol": -1.0, "atol": 0.0}, "rtol is -1.0"),
        ({"rtol": math.nan, "atol": 0.0}, "rtol is nan"),
        ({"undecided": "all"}, "undecided is 'all'"),
    ],
)
def test_tolerances_that_make_no_sense_are_refused(options, message):
    with pytest.raises(UsageError, match=message):
        Tolerance(**options)


def test_the_score_is_the_least_factor_that_passes():
    values = torch.rand(1000, generator=torch.Generator().manual_seed(1)) + 0.5
    wanted = expected(values, noise=1e-6)
    comparison = compare("args", wanted, to_array(values * (1 + 4e-6)))
    assert comparison.score > NOISE_FACTOR
    assert comparison.error == pytest.approx(4e-6 * comparison.magnitude, rel=0.1)


def test_windows_pool_neighbours_of_similar_size_only():
    deviation = np.array([1.0, 0.0, 0.0, 50.0])
    assert windowed(deviation, np.array([1.0, 1.1, 1.2, 1e6]), 16).tolist() == [1.0, 1.0, 1.0, 50.0]
    assert windowed(deviation, np.array([1.0, 1.1, 1.2, 1.3]), 16).tolist() == [
        1.0,
        50.0,
        50.0,
        50.0,
    ]
    assert windowed(deviation[:1], np.array([1.0]), 16).tolist() == [1.0]


def test_deviations_of_special_values():
    left = np.array([math.inf, math.nan, math.inf, 1.0, -math.inf])
    right = np.array([math.inf, math.nan, 1.0, math.nan, math.inf])
    assert deviations(left, right).tolist() == [0.0, 0.0, math.inf, math.inf, math.inf]


def test_complex_numbers_are_compared_as_such():
    values = torch.tensor([1 + 2j, 3 - 1j])
    wanted = Expected(
        "y",
        to_array(values),
        values.numpy().astype(np.complex128),
        Noise(*(np.full(2, size) for size in (1e-7, 0, 1e-7, 1e-7, 0)), [1e-14]),
    )
    assert outcome(wanted, values) is Outcome.PASSED
    assert outcome(wanted, values.conj().resolve_conj()) is Outcome.FAILED
    assert outcome(wanted, torch.tensor([complex(math.nan, 2), 3 - 1j])) is Outcome.FAILED
