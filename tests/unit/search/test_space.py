"""Recipes, the samples they describe, and the order in which they are tried."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from torch import nn
from torch.export import Dim

from pytest_modelport import UsageError
from pytest_modelport.engine.build_case import build_case
from pytest_modelport.request.options import Options
from pytest_modelport.request.recipes import Recipe, parse
from pytest_modelport.search.candidates import space_for
from pytest_modelport.search.domain import Domain, domain_of, stretched
from pytest_modelport.search.layouts import laid_as, laid_out, layouts
from pytest_modelport.search.plan import alone, pairs, plan, tail
from pytest_modelport.search.shrink import shrunk
from pytest_modelport.strategies import samples


class Masked(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(20, 4)

    def forward(self, ids, mask):
        return self.embedding(ids) * mask[..., None]


def space(model=None, args=None, shapes=None, **search):
    return space_for(
        build_case(model or nn.ReLU(), args, options=Options(dynamic_shapes=shapes, **search))
    )


IDS = (torch.tensor([[3, 1, 4], [1, 5, 0]]), torch.tensor([[1, 1, 1], [1, 0, 0]]))
NAMED = {"ids": {0: "batch", 1: "seq"}, "mask": {0: "batch", 1: "seq"}}


def test_inputs_that_share_a_dim_share_its_size():
    sample = space(Masked(), IDS, NAMED).build(
        Recipe({"batch": 3, "seq": 5, "ids:kind": "uniform"})
    )
    assert [tensor.shape for tensor in sample.args] == [(3, 5), (3, 5)]


def test_without_changes_it_is_the_sample():
    sample = space(Masked(), IDS, NAMED).build(Recipe())
    assert all(torch.equal(made, had) for made, had in zip(sample.args, IDS, strict=True))


def test_the_users_own_values_are_repeated_to_size():
    assert stretched(torch.tensor([[1, 2], [3, 4]]), (3, 1)).tolist() == [[1], [3], [1]]


def test_ids_stay_inside_the_table_they_choose_from():
    found = space(Masked(), IDS, NAMED)
    assert (found.domains["ids"].low, found.domains["ids"].high) == (0, 19)
    assert found.domains["mask"].family == "mask"
    for kind in found.domains["ids"].kinds:
        ids = found.build(Recipe({"ids:kind": kind, "batch": 7})).args[0]
        assert 0 <= ids.min() <= ids.max() <= 19
    assert found.build(Recipe({"ids:kind": "max"})).args[0].max() == 19


def test_an_empty_row_and_prefixes_are_among_masks():
    rng = np.random.default_rng(0)
    mask = Domain("mask", 0, 1)
    assert mask.draw("empty row", (3, 4), rng)[0].sum() == 0
    prefix = mask.draw("prefix", (5, 4), rng)
    assert (np.diff(prefix, axis=1) <= 0).all()
    assert (prefix.sum(1) >= 1).all()


@pytest.mark.parametrize(
    ("values", "low", "high"),
    [
        ([0.1, 0.9], 0.0, 1.0),
        ([0.0, 255.0], 0.0, None),
        ([-1.0, 2.0], None, None),
        ([3.0], None, None),
    ],
)
def test_ranges_of_floats_are_those_the_sample_suggests(values, low, high):
    found = domain_of(np.array(values))
    assert (found.low, found.high) == (low, high)
    rng = np.random.default_rng(0)
    for kind in found.kinds:
        drawn = found.draw(kind, (50,), rng)
        assert low is None or drawn.min() >= low
        assert high is None or drawn.max() <= high


def test_numbers_that_ieee_treats_specially_come_only_when_asked_for():
    plain, asked = space(args=torch.randn(2, 3)), space(args=torch.randn(2, 3), domain="ieee")
    assert "input:special" not in plain.factors
    assert "huge" not in plain.factors["input:kind"]
    made = asked.build(Recipe({"input:special": "nan"})).args[0]
    assert made.isnan().sum() == 1


def test_a_users_bounds_win():
    found = space(Masked(), IDS, NAMED, domains={"ids": (2, 3)})
    assert set(
        found.build(Recipe({"ids:kind": "uniform", "batch": 9})).args[0].flatten().tolist()
    ) == {2, 3}
    with pytest.raises(UsageError, match="unknown input in domains 'id': did you mean 'ids'"):
        space(Masked(), IDS, NAMED, domains={"id": (2, 3)})
    with pytest.raises(UsageError, match="domain of 'ids' is 5: give"):
        space(Masked(), IDS, NAMED, domains={"ids": 5})


def test_a_user_may_name_the_kinds_of_values():
    """A prefix of ones has one at least: a row that hides everything never comes."""
    found = space(Masked(), IDS, NAMED, domains={"mask": ["ones", "prefix"], "ids": "max"})
    assert found.factors["mask:kind"] == ("sample", "ones", "prefix")
    assert found.factors["ids:kind"] == ("sample", "max")
    for seed in range(20):
        mask = found.build(Recipe({"mask:kind": "prefix", "seed": seed, "batch": 5})).args[1]
        assert (mask.sum(1) > 0).all()
    with pytest.raises(
        UsageError, match="unknown kind of values for 'mask' 'prefixes': did you mean 'prefix'"
    ):
        space(Masked(), IDS, NAMED, domains={"mask": ["ones", "prefixes"]})
    with pytest.raises(UsageError, match="domain of 'mask' is \\[\\]: give"):
        space(Masked(), IDS, NAMED, domains={"mask": []})


@pytest.mark.parametrize("shape", [(4,), (2, 3), (2, 3, 4, 5)])
def test_a_layout_changes_no_value(shape):
    tensor = torch.randn(shape)
    for layout in layouts(len(shape)):
        other = laid_out(tensor, layout)
        assert torch.equal(other, tensor)
        assert other.stride() != tensor.stride()


@pytest.mark.parametrize(
    "sample",
    [
        torch.randn(2, 3, 4, 5),
        torch.randn(2, 3, 4, 5).contiguous(memory_format=torch.channels_last),
        torch.randn(5, 4).t(),
        torch.randn(1, 4).expand(3, 4),
    ],
    ids=["dense", "channels last", "transposed", "expanded"],
)
def test_other_values_lie_in_memory_as_the_sample_does(sample):
    made = laid_as(torch.randn(sample.shape), sample)
    assert made.shape == sample.shape
    assert 0 in sample.stride() or made.stride() == sample.stride()
    larger = laid_as(torch.randn([size + 2 for size in sample.shape]), sample)
    fast = sample.stride().index(1)
    assert larger.stride(fast) == 1


@pytest.mark.parametrize(
    ("dim", "lowest", "highest"),
    [
        ("batch", 1, 16),
        (Dim("batch"), 0, 16),
        (Dim("batch", min=2, max=5), 2, 5),
        (Dim("batch", max=64), 0, 64),
        (Dim.DYNAMIC, 0, 16),
    ],
)
def test_dims_range_as_they_are_declared(dim, lowest, highest):
    found = space(args=torch.randn(4, 3), shapes={0: dim})
    assert list(found.ranges.values()) == [(lowest, highest)]


def test_derived_dims_follow():
    batch = Dim("batch", min=1, max=8)
    found = space_for(
        build_case(
            nn.Bilinear(3, 3, 2),
            (torch.randn(4, 3), torch.randn(4, 3)),
            options=Options(dynamic_shapes=({0: batch}, {0: 2 * batch})),
        )
    )
    assert [tensor.shape[0] for tensor in found.build(Recipe({"batch": 3})).args] == [3, 6]


def test_recipes_that_do_not_fit_are_named():
    found = space(Masked(), IDS, NAMED)
    with pytest.raises(UsageError, match="unknown factor of a recipe 'bach': did you mean 'batch'"):
        found.build(Recipe({"bach": 1}))
    with pytest.raises(
        UsageError, match="unknown ids:kind in a recipe 'zero': did you mean 'zeros'"
    ):
        found.build(Recipe({"ids:kind": "zero"}))
    assert parse('{"batch": 1}') == {"batch": 1}
    for text in ("batch=1", "[1]", '{"batch": [1]}'):
        with pytest.raises(UsageError, match="is not (a )?JSON"):
            parse(text)


class Pair(nn.Module):
    """Takes inputs that do not fit, as models do that cut a mask to length."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(5, 2)

    def forward(self, x, mask):
        return self.linear(x) * mask[: x.shape[0], : x.shape[1], None]


class Halves(nn.Module):
    def forward(self, x):
        return x.reshape(x.shape[0], 2, -1)


class Apart(nn.Module):
    def forward(self, x, y):
        return x.sum(0) + y.sum(0)


@pytest.mark.parametrize(
    ("model", "args", "found"),
    [
        (
            Pair(),
            (torch.ones(3, 4, 5), torch.ones(3, 4)),
            {"x": {0: "batch", 1: "x_1"}, "mask": {0: "batch", 1: "x_1"}},
        ),
        (nn.Linear(4, 4), torch.ones(4, 4), {"input": {0: "batch"}}),
        (
            nn.Bilinear(3, 4, 2),
            (torch.ones(5, 3), torch.ones(5, 4)),
            {"input1": {0: "batch"}, "input2": {0: "batch"}},
        ),
        (
            Halves(),
            torch.ones(3, 4),
            {"x": {0: "batch", 1: "2*x_1"}},
        ),  # 4 must stay even: one more is refused
        (
            nn.Linear(4, 4),
            torch.ones(1, 4),
            {"input": {0: "batch"}},
        ),  # and a larger one is exported
        (
            Pair(),
            (torch.ones(1, 4, 5), torch.ones(1, 4)),
            {"x": {0: "batch", 1: "x_1"}, "mask": {0: "batch", 1: "x_1"}},
        ),
        (
            nn.Linear(4, 4),
            torch.ones(3, 1, 4),
            {"input": {0: "batch"}},
        ),  # the axis in the middle is there to broadcast
    ],
)
def test_dims_that_may_vary_are_found_by_asking(model, args, found):
    case = build_case(model, args, options=Options(dynamic_shapes="infer"))
    assert {name: axes for name, axes in case.shapes.axes.items() if axes} == found
    assert f"dynamic_shapes={found} (inferred)" in case.notes


def test_only_infer_is_a_word_for_dynamic_shapes():
    with pytest.raises(UsageError, match="unknown dynamic_shapes 'inferr': did you mean 'infer'"):
        build_case(nn.Linear(4, 4), torch.ones(2, 4), options=Options(dynamic_shapes="inferr"))


def test_axes_without_a_name_that_must_agree_share_one():
    found = space(Masked(), IDS, ({0: Dim.AUTO, 1: Dim.AUTO}, {0: Dim.AUTO, 1: Dim.AUTO}))
    assert list(found.ranges) == ["ids_0", "ids_1"]
    assert [tensor.shape for tensor in found.build(Recipe({"ids_0": 5, "ids_1": 1})).args] == [
        (5, 1),
        (5, 1),
    ]
    apart = space(Apart(), (torch.ones(3, 4), torch.ones(3, 4)), ({0: Dim.AUTO}, {0: Dim.AUTO}))
    assert list(apart.ranges) == ["x_0", "y_0"]  # what the subject takes apart is promised apart


FACTORS = {
    "batch": (4, 1, 2),
    "x:kind": ("sample", "zeros", "ones"),
    "x:layout": ("dense", "sliced"),
}


def test_options_alone_come_first_one_of_each_factor_after_the_other():
    assert list(alone(FACTORS))[:4] == [
        {"batch": 1},
        {"x:kind": "zeros"},
        {"x:layout": "sliced"},
        {"batch": 2},
    ]


def test_every_pair_of_options_is_in_some_row():
    rows = [
        {key: row.get(key, options[0]) for key, options in FACTORS.items()}
        for row in pairs(FACTORS, 0)
    ]
    for (one, options), (other, others) in itertools.combinations(FACTORS.items(), 2):
        for pair in itertools.product(options, others):
            assert any((row[one], row[other]) == pair for row in rows)
    assert len(rows) < 18  # of 18 combinations


def test_plan_and_tail_repeat_nothing_and_are_the_same_each_time():
    planned = plan(FACTORS, 8)
    more = tail(FACTORS, {"batch": (1, 9)}, 20, planned)
    assert len({str(recipe) for recipe in [*planned, *more]}) == 28
    assert more == tail(FACTORS, {"batch": (1, 9)}, 20, planned)


def test_no_two_recipes_of_a_search_are_called_the_same():
    found = space(Masked(), IDS, NAMED)
    recipes = [*plan(found.factors, 150), *tail(found.factors, found.ranges, 50, [])]
    assert len({found.label(recipe) for recipe in recipes}) == len(
        {str(recipe) for recipe in recipes}
    )


def test_a_failure_is_shrunk_to_what_it_needs():
    asked = []

    def fails(recipe):
        asked.append(recipe)
        return recipe.get("batch", 4) < 3 and recipe.get("x:kind") == "ones"

    found = shrunk(
        Recipe({"batch": 2, "x:kind": "ones", "x:layout": "sliced", "seed": 7}), FACTORS, fails
    )
    assert found.nearest == {"batch": 2, "x:kind": "ones"}
    assert found.smallest == {"batch": 1, "x:kind": "ones"}
    assert found.probed == {"batch": {"fails": [1], "passes": [4]}}
    assert found.passes("batch") == " (fails also at 1; passes at 4)"
    assert len(asked) == len({str(recipe) for recipe in asked})
    assert shrunk(Recipe({"batch": 1}), FACTORS, fails) is None


@settings(max_examples=30, deadline=None)
@given(samples(Masked(), IDS, dynamic_shapes=NAMED))
def test_the_strategy_gives_samples_for_tests_of_ones_own(sample):
    ids, mask = sample.args
    assert ids.shape == mask.shape
    assert Masked()(ids, mask).numel() >= 0


@pytest.mark.parametrize(
    ("values", "family"),
    [([0, 2, 4], "sorted"), ([3, 4, 7, 9], "sorted"), ([7, 8], "int"), ([4, 2, 6, 1], "int")],
)
def test_a_few_integers_in_order_are_no_offsets(values, family):
    assert domain_of(np.array(values)).family == family
