from __future__ import annotations

import torch
from torch import nn

from pytest_modelport.subject.snapshot import Snapshot


def subject() -> nn.Module:
    module = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2))
    module.register_buffer("n", torch.zeros(1))
    module.steps = 0
    module.history = []
    module.table = {"a": 1}
    module.plain = torch.ones(2)
    return module


def test_nothing_changed():
    module = subject()
    snapshot = Snapshot(module)
    with torch.no_grad():
        module.eval()(torch.ones(3, 2))
        module.train()
    assert snapshot.changes() == ()


def test_every_kind_of_change_is_named():
    module = subject()
    snapshot = Snapshot(module)
    with torch.no_grad():
        module[0].weight += 1
    module.n += 1
    module.steps += 1
    module.history.append(1)
    module.table["a"] = 2
    module.plain.add_(1)
    module.fresh = "new"
    module[1].eval()
    assert set(snapshot.changes()) == {
        "parameter 0.weight",
        "buffer n",
        "attribute steps",
        "attribute history",
        "attribute table",
        "buffer plain",
        "attribute fresh",
        "mode of 1",
    }


def test_a_replaced_tensor_is_a_change():
    module = subject()
    snapshot = Snapshot(module, parameters=False)
    module.n = torch.ones(1)
    module[0].weight = nn.Parameter(torch.zeros(2, 2))
    assert set(snapshot.changes()) == {"buffer n", "parameter 0.weight"}


def test_nan_stays_nan():
    module = subject()
    module.n.fill_(float("nan"))
    assert Snapshot(module).changes() == ()


def test_restore_leaves_a_frozen_container_alone():
    """As diffusers keeps a configuration: it refuses to be filled again."""

    class Frozen(dict):
        def clear(self):
            raise AssertionError("this is frozen")

    model = nn.Linear(2, 2)
    model.settings = Frozen(size=2)
    snapshot = Snapshot(model)
    with torch.no_grad():
        model.weight.zero_()
    snapshot.restore()
    assert model.weight.abs().sum() > 0
    assert model.settings == {"size": 2}


def test_restore_puts_everything_back_into_the_same_objects():
    module = subject()
    weight, history, hooks = module[0].weight, module.history, module._forward_hooks
    snapshot = Snapshot(module)
    values = {key: value.clone() for key, value in module.state_dict().items()}
    with torch.no_grad():
        module[0].weight.mul_(0)
    module.n = torch.full((3,), 7.0)
    module.steps = 9
    module.history += [1, 2]
    module.register_forward_hook(lambda *_: None)
    module[0].weight.requires_grad_(False)
    module.eval()
    snapshot.restore()
    assert snapshot.changes() == ()
    assert module[0].weight is weight
    assert module.history is history
    assert module._forward_hooks is hooks
    assert (module.steps, module.history, len(hooks)) == (0, [], 0)
    assert module.training
    assert module[0].weight.requires_grad
    assert all(torch.equal(value, values[key]) for key, value in module.state_dict().items())
