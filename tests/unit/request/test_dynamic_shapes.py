from __future__ import annotations

import pytest
from torch.export import Dim

from pytest_modelport.core.errors import UsageError
from pytest_modelport.request.dynamic_shapes import normalise

ONE = (("x", ("x",), 3),)
TWO = (("x", ("x",), 2), ("mask", ("mask",), 2))
NESTED = (("batch.x", ("batch", "x"), 2), ("batch.pair.0", ("batch", "pair", 0), 1))


@pytest.mark.parametrize(
    ("given", "inputs", "names", "axes"),
    [
        (None, ONE, ("x",), {}),
        ({"x": {0: "batch"}}, ONE, ("x",), {"x": {0: "batch"}}),
        ({0: "batch", 2: "time"}, ONE, ("x",), {"x": {0: "batch", 2: "time"}}),
        (({0: "b"}, None), TWO, ("x", "mask"), {"x": {0: "b"}, "mask": {}}),
        ([{0: "b"}], TWO, ("x", "mask"), {"x": {0: "b"}, "mask": {}}),
        ({"mask": {1: "t"}}, TWO, ("x", "mask"), {"x": {}, "mask": {1: "t"}}),
        ({"x": ("b", None)}, TWO, ("x", "mask"), {"x": {0: "b", 1: None}, "mask": {}}),
        ({"x": {-1: "last"}}, ONE, ("x",), {"x": {2: "last"}}),
        (
            {"batch": {"x": {0: "b"}, "pair": ({0: "n"},)}},
            NESTED,
            ("batch",),
            {"batch.x": {0: "b"}, "batch.pair.0": {0: "n"}},
        ),
        ({"batch": None}, NESTED, ("batch",), {"batch.x": {}, "batch.pair.0": {}}),
        (({0: Dim.DYNAMIC},), ONE, ("x",), {"x": {0: Dim.DYNAMIC}}),
    ],
)
def test_every_form_comes_to_axes_by_input(given, inputs, names, axes):
    assert dict(normalise(given, inputs, names).axes) == axes


@pytest.mark.parametrize(
    ("given", "inputs", "names", "message"),
    [
        ({"mosk": {0: "b"}}, TWO, ("x", "mask"), "did you mean 'mask'"),
        ({0: "b"}, TWO, ("x", "mask"), "names no input"),
        (({}, {}, {}), TWO, ("x", "mask"), "3 entries for 2 inputs"),
        ({"x": {3: "b"}}, ONE, ("x",), "axis 3: it has 3 axes"),
        ({"x": {"batch": 0}}, ONE, ("x",), "axis 'batch'"),
        ({"x": "batch"}, ONE, ("x",), "is 'batch'"),
        ("batch", ONE, ("x",), "is a str"),
        ({"batch": ({0: "b"},)}, NESTED, ("batch",), "does not nest"),
    ],
)
def test_what_does_not_fit_is_named(given, inputs, names, message):
    with pytest.raises(UsageError, match=message):
        normalise(given, inputs, names)


def test_only_dims_that_may_vary_count_as_dynamic():
    assert normalise({"x": {0: "b"}}, ONE, ("x",)).dynamic
    assert not normalise({"x": {0: None, 1: 3}}, ONE, ("x",)).dynamic
    assert not normalise(None, ONE, ("x",)).dynamic
