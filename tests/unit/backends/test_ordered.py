"""Between arrays and positions: nothing is made up and nothing hidden."""

from __future__ import annotations

import numpy as np
import pytest

from pytest_modelport.backends.kit.ordered import answer, arrays, narrowed, placed, widened
from pytest_modelport.core.arrays import Array
from pytest_modelport.core.artifact import Manifest, TensorSpec
from pytest_modelport.core.errors import WrongCount
from pytest_modelport.core.feed import Feed

MANIFEST = Manifest(
    "f",
    "k",
    "e",
    "flat",
    (TensorSpec("a", "float32"), TensorSpec("b", "float32")),
    (TensorSpec("y", "float32"),),
)


def fed(**values):
    return Feed(
        {name: Array.of(np.array(value, np.float32)) for name, value in values.items()},
        ["tuple", []],
    )


def test_arrays_come_in_the_promised_order():
    assert [array.item() for array in arrays(MANIFEST, fed(b=2, a=1))] == [1, 2]


def test_what_a_feed_lacks_is_left_to_the_port():
    assert list(placed(MANIFEST, fed(b=2))) == [1]


def test_more_results_than_promised_are_no_answer():
    with pytest.raises(
        WrongCount, match="the exported model returns 2 tensors, not the 1 declared: y"
    ):
        answer(MANIFEST, [np.zeros(1), np.zeros(1)])


@pytest.mark.parametrize(
    ("values", "promised", "dtype"),
    [
        ([0, 3], "int64", "int64"),
        ([0, 1], "bool", "bool"),
        ([0, 2], "bool", "int32"),
        ([-1, 2], "uint8", "int32"),
        ([0, 3], "float32", "int32"),
        ([0, 3], "", "int32"),
    ],
)
def test_integers_of_a_port_are_widened_only_where_their_values_stay(values, promised, dtype):
    assert str(widened(np.array(values, np.int32), promised).dtype) == dtype
    assert widened(np.array([0.5], np.float32), "int64").dtype == np.float32


def test_integers_are_narrowed_only_where_they_fit():
    ids = np.array([0, 7], np.int64)
    assert narrowed(ids, np.int32).dtype == np.int32
    assert narrowed(ids, np.float32) is ids
    assert narrowed(ids.astype(np.float64), np.float32).dtype == np.float64
    with pytest.raises(
        OverflowError, match="from 0 to 4294967296 do not fit the exported model's int32"
    ):
        narrowed(np.array([0, 2**32]), np.int32)


def test_results_are_copied():
    """A runtime may write its next answer where this one lies, or give the memory back."""
    memory = np.ones(3, np.float32)
    found = answer(MANIFEST, [memory])
    memory[:] = 0
    assert found.outputs[0][1].numpy().tolist() == [1, 1, 1]
