"""MindIR files that MindSpore itself has written, in an environment that is really installed."""

from __future__ import annotations

import subprocess

import numpy as np
import pytest
import torch
from torch import nn

from pytest_modelport import verify
from pytest_modelport.cleanroom import install
from pytest_modelport.cleanroom.environments import own, variables
from pytest_modelport.core.verdict import worst

pytestmark = pytest.mark.full

#: Writes the same network with the weights it is given.
WRITE = """
import sys, numpy as np, mindspore as ms
from mindspore import nn

class Net(nn.Cell):
    def __init__(self, weight, bias):
        super().__init__()
        self.linear = nn.Dense(4, 3)
        self.linear.weight.set_data(ms.Tensor(weight))
        self.linear.bias.set_data(ms.Tensor(bias))
        self.relu = nn.ReLU()

    def construct(self, x):
        return self.relu(self.linear(x))

given = np.load(sys.argv[1])
net = Net(given["weight"], given["bias"])
net.set_train(False)
ms.export(net, ms.Tensor(shape=[None, 4], dtype=ms.float32), file_name=sys.argv[2], file_format="MINDIR")
"""


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """A function that writes a linear layer with ReLU as MindIR."""
    folder = tmp_path_factory.mktemp("mindir")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(folder / "cache"))
        made = own()["mindspore"]
        install.create(made, print)

        def write(name, linear):
            np.savez(
                folder / "weights.npz",
                weight=linear.weight.detach().numpy(),
                bias=linear.bias.detach().numpy(),
            )
            (folder / "write.py").write_text(
                WRITE
            )  # MindSpore reads the source of what it compiles
            command = [made.python, folder / "write.py", folder / "weights.npz", folder / name]
            subprocess.run(command, check=True, env=variables(), cwd=folder, capture_output=True)
            return folder / f"{name}.mindir"

        yield write


def test_a_file_is_proven_and_a_wrong_one_is_red(written):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 3), nn.ReLU()).eval()
    x = torch.randn(5, 4)

    def proven(path):
        report = verify(model, x, targets=["mindspore"], samples=[torch.randn(2, 4)], artifact=path)
        return worst(report.verdicts)

    sound = proven(written("sound", model[0]))
    assert sound.passed, sound
    other = nn.Linear(4, 3)
    other.load_state_dict(model[0].state_dict())
    with torch.no_grad():
        other.weight[0, 0] += 0.01
    wrong = proven(written("wrong", other))
    assert (str(wrong.outcome), str(wrong.stage)) == ("failed", "compare")


def test_nothing_is_exported(written):
    verdict = worst(verify(nn.ReLU(), torch.ones(3), targets=["mindspore"]).verdicts)
    assert str(verdict.outcome) == "unsupported"
    assert "bring the file that you ship" in verdict.reason
