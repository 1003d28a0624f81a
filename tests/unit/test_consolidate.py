"""Sharded models become the plain one, bit for bit. One process stands for all: gathering is the
same code.
"""

from __future__ import annotations

import pytest
import torch
from torch import nn

from fixtures import digits
from pytest_modelport import UsageError
from pytest_modelport.consolidate import NotTheSame, consolidated

distributed = pytest.importorskip("torch.distributed")


@pytest.fixture(scope="module")
def mesh(tmp_path_factory):
    """A mesh of one process."""
    store = tmp_path_factory.mktemp("store") / "store"
    distributed.init_process_group("gloo", init_method=f"file://{store}", rank=0, world_size=1)
    yield distributed.device_mesh.init_device_mesh("cpu", (1,))
    distributed.destroy_process_group()


def test_a_fully_sharded_model_becomes_the_plain_one(mesh, prove):
    from torch.distributed.fsdp import fully_shard

    model = digits.load("cnn")
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    sharded = fully_shard(digits.load("cnn"), mesh=mesh)
    made = consolidated(sharded, digits.Cnn())
    assert all(torch.equal(tensor, before[name]) for name, tensor in made.state_dict().items())
    assert not made.training
    assert prove(["onnx", "torchscript"], made, digits.images(3)).passed


def test_a_tensor_parallel_model_becomes_the_plain_one(mesh):
    from torch.distributed.tensor.parallel import (
        ColwiseParallel,
        RowwiseParallel,
        parallelize_module,
    )

    torch.manual_seed(0)
    plain = nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 4))
    wanted = {name: tensor.clone() for name, tensor in plain.state_dict().items()}
    sharded = parallelize_module(plain, mesh, {"0": ColwiseParallel(), "2": RowwiseParallel()})
    made = consolidated(sharded, nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 4)))
    assert all(torch.equal(tensor, wanted[name]) for name, tensor in made.state_dict().items())


def test_another_class_is_refused(mesh):
    with pytest.raises(UsageError, match="the sharded model does not fit Linear"):
        consolidated(digits.load("cnn"), nn.Linear(2, 2))


def test_a_class_in_another_precision_is_not_the_same(mesh):
    with pytest.raises(
        NotTheSame, match=r"'features.0.weight' changed while it was consolidated: torch.float16"
    ):
        consolidated(digits.load("cnn"), digits.Cnn().half())
