from __future__ import annotations

from collections import OrderedDict, namedtuple
from dataclasses import dataclass
from types import SimpleNamespace

import pytest

from pytest_modelport.core import tree


class Leaf:
    def __init__(self, value: int) -> None:
        self.value = value


def is_leaf(value: object) -> bool:
    return isinstance(value, Leaf)


a, b, c = Leaf(1), Leaf(2), Leaf(3)
Pair = namedtuple("Pair", "left right")


@dataclass
class Record:
    first: Leaf
    count: int


class Cyclic:
    def __init__(self) -> None:
        self.me = self
        self.leaf = a


@pytest.mark.parametrize(
    ("value", "names"),
    [
        (a, ["output"]),
        ((a, b), ["output.0", "output.1"]),
        ([a, (b, c)], ["output.0", "output.1.0", "output.1.1"]),
        ({"y": a, "x": b}, ["y", "x"]),
        ({"y": {"deep": [a]}}, ["y.deep.0"]),
        (OrderedDict(z=a, a=b), ["z", "a"]),
        (Pair(a, b), ["left", "right"]),
        (Record(a, 3), ["first"]),
        (SimpleNamespace(layers=[SimpleNamespace(keys=a)], other=max), ["layers.0.keys"]),
        (Cyclic(), ["leaf"]),
        (None, []),
    ],
)
def test_names_follow_the_nest(value, names):
    flat = tree.flatten(value, is_leaf)
    assert list(tree.names(flat.leaves, root="output")) == names


def test_python_values_are_kept_by_path():
    flat = tree.flatten({"n": 3, "rest": (None, 0.5, a)}, is_leaf)
    assert flat.constants == ((("n",), 3), (("rest", 0), None), (("rest", 1), 0.5))


def test_attributes_of_unknown_objects_are_their_own_business():
    flat = tree.flatten(SimpleNamespace(x=a, name="cache", size=3), is_leaf)
    assert flat.constants == ()


def test_names_that_would_collide_are_refused():
    flat = tree.flatten({"x": {"y": a}, "x.y": b}, is_leaf)
    with pytest.raises(ValueError, match="'x.y'"):
        tree.names(flat.leaves, root="output")


@pytest.mark.parametrize(
    "value", [a, (a, [b, {"k": c, "n": None}], 7), {"x": (a,), "flag": True, "name": "s"}]
)
def test_build_makes_what_flatten_took_apart(value):
    flat = tree.flatten(value, is_leaf)
    assert tree.buildable(flat.spec)
    assert tree.build(flat.spec, [leaf for _, leaf in flat.leaves]) == value


@pytest.mark.parametrize("value", [Pair(a, b), Record(a, 1), OrderedDict(x=a), {1: a}, (a, 1j)])
def test_objects_of_other_classes_cannot_be_built_elsewhere(value):
    flat = tree.flatten(value, is_leaf)
    assert not tree.buildable(flat.spec)
    with pytest.raises(TypeError, match="cannot be built"):
        tree.build(flat.spec, [leaf for _, leaf in flat.leaves])


def test_replace_keeps_every_class_and_leaves_the_original_alone():
    value = {"p": Pair(a, [b]), "r": Record(c, 4), "o": SimpleNamespace(x=a, n=1), "n": None}
    result = tree.replace(value, is_leaf, lambda leaf: Leaf(leaf.value * 10))
    assert type(result["p"]) is Pair
    assert result["p"].left.value == 10
    assert result["p"].right[0].value == 20
    assert (result["r"].first.value, result["r"].count) == (30, 4)
    assert (result["o"].x.value, result["o"].n) == (10, 1)
    assert value["p"].left is a
    assert value["r"].first is c
    assert value["o"].x is a
