from __future__ import annotations

import sys
from dataclasses import dataclass

import pytest
import torch
from torch import nn

from fixtures import traits
from pytest_modelport import Sample, UsageError
from pytest_modelport.subject.identity import fingerprint
from pytest_modelport.subject.inputs import name_inputs
from pytest_modelport.subject.modules import training


class Net(nn.Module):
    def __init__(self, scale: float = 1.0) -> None:
        super().__init__()
        self.linear = nn.Linear(2, 2)
        self.scale = scale

    def forward(self, x, y=None, *rest, flag=False, **extra):
        return self.linear(x) * self.scale


@pytest.mark.parametrize(
    ("sample", "names"),
    [
        (Sample((torch.ones(2),)), ["x"]),
        (Sample((), {"x": torch.ones(2)}), ["x"]),
        (Sample((torch.ones(2), torch.ones(1), torch.ones(1))), ["x", "y", "rest.0"]),
        (Sample((torch.ones(2),), {"more": torch.ones(1), "y": torch.ones(1)}), ["x", "y", "more"]),
        (Sample((torch.ones(2), {"a": [torch.ones(1)]})), ["x", "y.a.0"]),
    ],
)
def test_inputs_are_named_by_the_signature(sample, names):
    assert [item.name for item in name_inputs(Net(), sample).tensors] == names


def test_python_values_among_the_inputs_are_kept():
    given = name_inputs(Net(), Sample((torch.ones(2), 3), {"flag": True}))
    assert given.constants == {"y": 3, "flag": True}
    assert given.buildable


def test_objects_among_the_inputs_are_seen():
    @dataclass
    class Batch:
        x: torch.Tensor

    assert not name_inputs(Net(), Sample((torch.ones(2), Batch(torch.ones(1))))).buildable


@pytest.mark.parametrize(
    ("sample", "message"),
    [
        (Sample(()), r"inputs do not fit Net.forward\(.*missing a required argument: 'x'"),
        (Sample((3,)), "holds no tensor"),
    ],
)
def test_inputs_that_cannot_be_used_are_refused(sample, message):
    with pytest.raises(UsageError, match=message):
        name_inputs(Net(), sample)


def test_train_mode_is_noted_where_it_matters():
    assert training(nn.Sequential(nn.Linear(2, 2), nn.ReLU()).train()) == ""
    assert training(nn.Sequential(nn.Dropout(), nn.BatchNorm1d(2)).eval()) == ""
    mixed = nn.Sequential(nn.Linear(2, 2), nn.Dropout(), nn.BatchNorm1d(2)).train()
    assert training(mixed) == "1, 2"
    assert training(nn.ModuleList([nn.Dropout() for _ in range(5)])).endswith("and 2 more")


def make(source: str) -> nn.Module:
    namespace: dict = {"nn": nn, "torch": torch, "__name__": "made"}
    exec(source, namespace)
    torch.manual_seed(0)
    return namespace["Net"]()


BASE = """
K = 1
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(2, 2)
        self.call = lambda x: x.mean(0) * K
    def forward(self, x):
        return self.call(self.linear(x))
"""


def test_equal_subjects_have_equal_fingerprints():
    assert fingerprint(make(BASE), Sample((torch.ones(2),))) == fingerprint(
        make(BASE), Sample((torch.ones(2),))
    )


@pytest.mark.parametrize(
    "change",
    [
        ("x.mean(0)", "x.sum(0)"),
        ("K = 1", "K = 2"),
        ("return self.call(self.linear(x))", "return self.linear(self.call(x))"),
        ("nn.Linear(2, 2)", "nn.Linear(2, 2, bias=False)"),
        ("super().__init__()", "super().__init__(); self.step = 3"),
    ],
)
def test_another_code_constant_or_attribute_is_another_subject(change):
    assert fingerprint(make(BASE), Sample((torch.ones(2),))) != fingerprint(
        make(BASE.replace(*change)), Sample((torch.ones(2),))
    )


def test_another_weight_mode_or_input_is_another_subject():
    net = make(BASE)
    first = fingerprint(net, Sample((torch.ones(2),)))
    assert fingerprint(net, Sample((torch.zeros(2),))) != first
    assert fingerprint(net, Sample((torch.ones(2).double(),))) != first
    assert fingerprint(net.eval(), Sample((torch.ones(2),))) != first
    with torch.no_grad():
        net.train().linear.weight[0, 0] += 1e-7
    assert fingerprint(net, Sample((torch.ones(2),))) != first


@pytest.mark.parametrize("name", traits.TRAITS)
def test_fingerprints_are_the_same_every_time(name):
    def digest():
        model, args, kwargs = traits.build(name)
        return fingerprint(model, Sample(args, kwargs))

    assert digest() == digest()


def test_a_subject_that_holds_itself_is_no_endless_loop():
    net = Net()
    net.__dict__["parent"] = [net, sys]
    assert fingerprint(net)
