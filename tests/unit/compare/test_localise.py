from __future__ import annotations

import numpy as np
import pytest

from pytest_modelport.compare.localise import first_wrong
from pytest_modelport.core.tensor_stats import TensorStats, stats_of
from pytest_modelport.reference.trace import Operation


def operation(name, value, *sources):
    return Operation(name, "net", "net.py:1", sources, (stats_of(np.asarray(value, np.float64)),))


#: x -> mul -> fused -> exp -> add(mul) ; an unused one beside it
CHAIN = [
    operation("mul", [1.0, 2.0]),
    operation("fused away", [3.0, 3.5], 0),
    operation("exp", [4.0, 7.0], 1),
    operation("add", [5.0, 9.0], 0, 2),
    operation("unused", [8.0, 8.5]),
]


def found(*values):
    return [stats_of(np.asarray(value, np.float32)) for value in values]


@pytest.mark.parametrize(
    ("port", "place"),
    [
        (
            ([1.0, 2.0], [4.5, 7.0], [5.5, 9.0]),
            "fused away",
        ),  # it or exp: the first that is not in the clear
        (([1.0, 2.0], [3.0, 3.5], [4.5, 7.0], [5.5, 9.0]), "exp"),
        (([1.0, 2.0], [4.0, 7.0], [6.0, 9.0]), "add"),
        (([1.1, 2.0], [4.1, 7.0], [5.1, 9.0]), "mul"),
        (([1.0, 2.0], [4.0, 7.0], [5.0, 9.0]), None),
    ],
)
def test_the_first_wrong_operation_from_right_operands(port, place):
    result = first_wrong(CHAIN, 3, found(*port), 1e-4)
    assert (result.name if result else None) == place


def test_operations_the_output_does_not_come_from_are_no_suspects():
    assert first_wrong(CHAIN, 3, found([1.0, 2.0], [4.0, 7.0], [6.0, 9.0]), 1e-4).name == "add"
    assert first_wrong(CHAIN, 4, found([1.0]), 1e-4).name == "unused"


def test_signatures_survive_reshaping_and_transposing():
    values = np.random.default_rng(0).standard_normal((3, 4, 5))
    assert stats_of(values).agrees(stats_of(values.transpose(2, 0, 1).reshape(-1)), 1e-12)


@pytest.mark.parametrize(
    ("values", "other"),
    [
        ([1.0, 2.0], [1.0, 2.1]),
        ([1.0, 2.0], [1.0, 2.0, 2.0]),
        ([1.0, np.nan], [1.0, 2.0]),
        ([0.0, 0.0], [0.0, 1e-9]),
        ([1, 2], [1, 3]),
        ([True, False], [True, True]),
    ],
)
def test_signatures_tell_values_apart(values, other):
    assert not stats_of(np.asarray(values)).agrees(stats_of(np.asarray(other)), 1e-6)


def test_signatures_of_special_arrays():
    assert stats_of(np.zeros((0, 3))).count == 0
    assert stats_of(np.array([np.nan, np.inf])).nonfinite == 2
    assert stats_of(np.array([1e300, -1e300])).rms == pytest.approx(1e300)
    assert stats_of(np.array([1 + 2j])) == TensorStats(1, 0, 1.5, pytest.approx(2.5**0.5), 1.0, 2.0)
    assert TensorStats.from_list(stats_of(np.arange(3)).to_list()) == stats_of(np.arange(3))
