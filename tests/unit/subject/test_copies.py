"""Copies of models in which something refuses to be copied."""

from __future__ import annotations

import copy
import threading

import pytest
import torch
from torch import nn
from torch.nn.utils import prune

from pytest_modelport.subject.copies import copied


class FrozenDict(dict):
    """As diffusers keeps a configuration."""

    def __init__(self, *args, **keywords):
        super().__init__(*args, **keywords)
        self._frozen = True

    def __setitem__(self, key, value):
        if hasattr(self, "_frozen"):
            raise Exception("frozen")
        super().__setitem__(key, value)


def weight_norm():
    model = nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 2))
    with pytest.warns(FutureWarning, match="deprecated"):
        torch.nn.utils.weight_norm(model[0])
    model(torch.randn(2, 3)).sum().backward()
    return model


def masks():
    model = nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 2))
    prune.l1_unstructured(model[0], "weight", 0.5)
    return model


class Holding(nn.Module):
    """A layer that keeps something beside it."""

    def __init__(self, kept):
        super().__init__()
        self.linear = nn.Linear(3, 2)
        self.kept = kept

    def forward(self, x):
        return self.linear(x)


class Keeper:
    """An object with one thing inside that refuses, and one that does not."""

    def __init__(self):
        self.lock, self.numbers = threading.Lock(), [1, 2]


REFUSING = {
    "weight_norm": weight_norm,
    "masks": masks,
    "a feature map": lambda: Holding(torch.randn(2, requires_grad=True) * 2),
    "a list of them": lambda: Holding([{"last": torch.randn(2, requires_grad=True) * 2}]),
    "a lock": lambda: Holding(threading.Lock()),
    "a generator": lambda: Holding(number for number in range(3)),
    "a frozen dict": lambda: Holding(FrozenDict(a=1)),
    "a package": lambda: Holding([torch]),
    "an object with a lock": lambda: Holding(Keeper()),
}


@pytest.mark.parametrize("make", REFUSING.values(), ids=REFUSING)
def test_what_deepcopy_refuses_is_copied(make):
    model, x = make(), torch.randn(2, 3)
    with pytest.raises(Exception):  # noqa: B017, PT011 - each refuses in its own way
        copy.deepcopy(model)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    other = copied(model)
    assert torch.equal(other(x), model(x))
    with torch.no_grad():
        for tensor in other.parameters():
            tensor.zero_()
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())
    assert not torch.equal(other(x), model(x))


def test_only_what_refuses_is_shared():
    model = Holding(Keeper())
    other = copied(model)
    assert other.kept is not model.kept
    assert other.kept.lock is model.kept.lock
    assert other.kept.numbers == [1, 2]
    assert other.kept.numbers is not model.kept.numbers


def test_a_module_that_refuses_says_so():
    class Refuses(nn.Linear):
        def __deepcopy__(self, memo):
            raise RuntimeError("there is one of me")

    with pytest.raises(RuntimeError, match="there is one of me"):
        copied(Refuses(2, 2))
