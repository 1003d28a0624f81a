"""What a transform costs: figures against values computed by hand, and the floors they are held to."""

from __future__ import annotations

import math

import numpy as np
import pytest

from pytest_modelport import UsageError
from pytest_modelport.compare.fidelity import fidelity_of
from pytest_modelport.compare.judge import within_steps
from pytest_modelport.request.quality_floors import (
    FLOORS,
    TRAINED,
    Floors,
    floors_for,
    floors_of,
    quality_of,
)

SCORES = np.array([[3.0, 1.0, 0.0], [0.0, 2.0, 1.0]], np.float32)


def price(other, original=SCORES):
    return fidelity_of([("output", original, np.asarray(other, original.dtype))])


def test_equal_answers_cost_nothing():
    found = price(SCORES)
    assert (found.sqnr_db, found.top1, found.kl, found.rows) == (math.inf, 1.0, 0.0, 2)
    assert found.cosine == pytest.approx(1.0)


def test_signal_over_error_in_decibels():
    # sum of squares 15, error 0.15: a ratio of 100
    other = SCORES.astype(np.float64).copy()
    other[0, 0] += math.sqrt(0.15)
    assert fidelity_of([("output", SCORES.astype(np.float64), other)]).sqnr_db == pytest.approx(20)


def test_agreement_counts_rows_whose_best_stays():
    other = SCORES.copy()
    other[1] = [3, 2, 1]
    assert price(other).top1 == 0.5


def test_divergence_is_that_of_the_softmax():
    first, second = (
        np.array([[math.log(3), 0.0]]),
        np.array([[0.0, 0.0]]),
    )  # 3/4, 1/4 against 1/2, 1/2
    wanted = 0.75 * math.log(1.5) + 0.25 * math.log(0.5)
    assert fidelity_of([("output", first, second)]).kl == pytest.approx(wanted)


def test_the_cosine_is_of_the_worst_row():
    other = SCORES.copy()
    other[1] = -other[1]
    assert price(other).cosine == pytest.approx(-1)


def test_a_monotone_map_keeps_every_class_and_costs_much():
    found = price(SCORES / 2)
    assert found.top1 == 1.0
    assert found.sqnr_db == pytest.approx(20 * math.log10(2))


def test_nan_where_there_was_none_is_counted():
    other = SCORES.copy()
    other[0, 0] = np.nan
    assert price(other).nonfinite == 1
    assert price(other).sqnr_db == -math.inf


def test_where_nothing_is_finite_nothing_is_measured():
    nothing = np.full((2, 3), np.nan)
    assert fidelity_of([("output", nothing, nothing)]).sqnr_db is None


@pytest.mark.parametrize(
    ("cost", "asked"), [(None, 35), (60.0, 35), (30.0, 27), (6.0, 17), (-math.inf, 17)]
)
def test_what_rounding_to_steps_excuses(cost, asked):
    """A price of 6 dB is that of training, not of eight bits: it excuses no port that is off by as
    much.
    """
    assert within_steps(cost) == asked


def test_integers_agree_or_not():
    found = fidelity_of([("best", np.array([1, 2, 3, 4]), np.array([1, 2, 3, 5]))])
    assert (found.top1, found.rows, found.sqnr_db) == (0.75, 4, None)


def test_the_worst_output_is_told():
    found = fidelity_of(
        [("a", SCORES, SCORES), ("b", SCORES, SCORES / 2), ("n", np.array([1]), np.array([1]))]
    )
    assert found.sqnr_db == pytest.approx(20 * math.log10(2))


def test_several_calls_are_one_output():
    found = fidelity_of([("a", SCORES, SCORES), ("a", SCORES[:1], SCORES[:1, ::-1])])
    assert found.rows == 3
    assert found.top1 == pytest.approx(2 / 3)


def test_values_that_are_no_rows_have_no_classes():
    found = fidelity_of([("a", np.array([1.0, 2.0]), np.array([2.0, 1.0]))])
    assert found.top1 is None
    assert found.cosine == pytest.approx(0.8)


def test_a_chain_has_the_loosest_floors_of_its_steps():
    floors = floors_for(["fp16", "int8_static"], metric=False, trained=False, given={})
    assert floors == Floors(sqnr_db=20, top1=0.98, slice_db=0.0, size_ratio=0.95)


def test_an_exact_step_asks_nothing_more_of_a_chain():
    assert (
        floors_for(["exact", "int8_static"], metric=False, trained=False, given={}).cosine is None
    )
    assert floors_for(["exact", "exact"], metric=False, trained=False, given={}).cosine == 0.9999


def test_a_step_without_floors_leaves_none_to_the_chain():
    assert not floors_for(["fp16", "custom"], metric=False, trained=False, given={}).enough


def test_a_pruned_model_with_a_metric_is_asked_what_it_is_for():
    floors = floors_for(["pruned"], metric=True, trained=False, given={})
    assert floors == Floors(top1=0.95, metric_drop=0.02)


def test_what_is_trained_again_has_other_numbers():
    assert floors_for(["int8_static"], metric=True, trained=True, given={}) == TRAINED
    assert floors_for(["int8_static"], metric=False, trained=True, given={}).sqnr_db == 20


def test_the_users_floors_replace_those_of_the_table():
    floors = floors_for(["fp16"], metric=False, trained=False, given={"top1": 0.5, "kl": 0.1})
    assert (floors.top1, floors.kl, floors.sqnr_db) == (0.5, 0.1, 50)


@pytest.mark.parametrize("name", [name for name in FLOORS if name != "custom"])
def test_every_row_limits_errors_and_answers(name):
    assert FLOORS[name].enough


def test_one_kind_of_limit_is_not_enough():
    assert not Floors(top1=0.99).enough
    assert not Floors(sqnr_db=30).enough
    assert not Floors().enough


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"sqnr": 20}, "unknown quality floor 'sqnr': did you mean 'sqnr_db'?"),
        ({"top1": 98}, "give a share between 0 and 1"),
        ({"sqnr_db": "20"}, "give a number"),
        ({"sqnr_db": math.nan}, "give a number"),
        ([0.9], "give a dict"),
    ],
)
def test_floors_that_are_none_are_refused(given, said):
    with pytest.raises(UsageError, match=None) as caught:
        quality_of(given)
    assert said in str(caught.value)


def test_a_constant_slice_is_named_whatever_the_others_are():
    original = np.random.default_rng(0).normal(100, 30, (4, 20, 5))
    original[..., 4] /= 1000
    dead = original.copy()
    dead[..., 4] = 0
    found = fidelity_of([("output", original, dead)])
    assert found.sqnr_db > 50
    assert found.constant == ("'output'[:, :, 4]",)
    assert found.slices.sqnr_db == pytest.approx(0)
    assert fidelity_of([("output", original, original * 1.001)]).constant == ()


def test_a_best_element_that_leads_by_next_to_nothing_is_no_class():
    rng = np.random.default_rng(0)
    original = rng.normal(size=(200, 24))
    other = original + 0.02 * rng.normal(size=original.shape)
    assert (original.argmax(-1) != other.argmax(-1)).any()
    assert fidelity_of([("forecast", original, other)]).top1 == 1.0
    assert fidelity_of([("logits", original, other)]).top1 < 1.0
    assert fidelity_of([("forecast", original, other)], 1).top1 < 1.0


@pytest.mark.parametrize(
    ("axis", "said"),
    [(2, "class_axis is 2, and 'output' has 2 axes"), ({"outptu": 1}, "did you mean 'output'")],
)
def test_a_class_axis_that_is_not_there_is_named(axis, said):
    with pytest.raises(UsageError, match=said):
        fidelity_of([("output", SCORES, SCORES)], axis)


def test_floors_of_single_outputs_and_of_single_transforms():
    given = {
        "sqnr_db": 20,
        "outputs": {"boxes": {"sqnr_db": 40}},
        "transforms": {"fp16": {"sqnr_db": 60}, "fp16|ort_int8": {"top1": 0.9}},
    }
    assert quality_of(given) == given
    assert floors_of(given, []) == {"sqnr_db": 20}
    assert floors_of(given, ["fp16"]) == {"sqnr_db": 60}
    assert floors_of(given, ["fp16", "ort_int8", "fp16|ort_int8"]) == {"sqnr_db": 60, "top1": 0.9}


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"outputs": {"boxes": {"size_ratio": 1}}}, "outputs 'boxes' floor 'size_ratio'"),
        ({"outputs": {"boxes": 40}}, "give floors by name"),
        ({"transforms": {"fp16": {"top1": 2}}}, "transforms 'fp16' top1 is 2"),
        ({"output": {}}, "did you mean 'outputs'"),
    ],
)
def test_floors_by_name_that_are_none_are_named(given, said):
    with pytest.raises(UsageError, match=said):
        quality_of(given)


def test_embeddings_keep_their_neighbours():
    generator = np.random.default_rng(0)
    rows = generator.standard_normal((64, 16)).astype(np.float32)
    rows /= np.linalg.norm(rows, axis=-1, keepdims=True)

    def with_error(size):
        other = rows + size * generator.standard_normal(rows.shape).astype(np.float32)
        return fidelity_of([("output", rows, other)])

    assert with_error(1e-4).neighbours == 1
    assert with_error(1e-4).top1 is None
    turned = np.roll(rows, 1, axis=0)
    assert fidelity_of([("output", rows, turned)]).neighbours < 0.2
    assert fidelity_of([("scores", rows * 7, turned)]).neighbours is None
    assert fidelity_of([("embeddings", rows * 7, turned)]).neighbours < 0.2
