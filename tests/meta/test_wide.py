"""Layers as wide as real ones, with nothing around them: healthy ports are green, and a weight that
is off by 1 % is red.
"""

from __future__ import annotations

import copy
import warnings

import pytest
import torch
from torch import nn

from pytest_modelport import Outcome


class RunningSum(nn.Module):
    def forward(self, x):
        return x.cumsum(-1)


def drawn(*shape, plus=0.0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(0)) + plus


#: Each was red before products, normalisations and running sums had the noise of sums that are made
#: in order.
WIDE = {
    "linear": (lambda: nn.Linear(256, 64, bias=False), drawn(8, 256)),
    "conv": (lambda: nn.Conv1d(512, 64, 2), drawn(2, 512, 24)),
    "few outputs": (lambda: nn.Conv1d(512, 512, 2, stride=2, bias=False), drawn(2, 512, 24)),
    "group norm": (lambda: nn.GroupNorm(32, 64), drawn(2, 64, 4000, plus=3)),
    "instance norm": (lambda: nn.InstanceNorm2d(8), drawn(2, 8, 128, 128, plus=1)),
    "instance norm of a flat image": (
        lambda: nn.InstanceNorm2d(8),
        torch.full((2, 8, 128, 128), 0.7),
    ),
    "running sum": (RunningSum, drawn(4, 5000)),
}


@pytest.mark.parametrize("name", WIDE)
def test_a_healthy_layer_is_green(prove, name):
    make, sample = WIDE[name]
    torch.manual_seed(0)
    [verdict] = prove(["onnx"], make().eval(), sample, checks=["parity"]).verdicts
    assert verdict.outcome is Outcome.PASSED, verdict.reason


@pytest.mark.parametrize("name", ["linear", "conv", "few outputs"])
def test_one_weight_off_by_a_hundredth_is_red(prove, tmp_path, name):
    make, sample = WIDE[name]
    torch.manual_seed(0)
    subject = make().eval()
    damaged = copy.deepcopy(subject)
    with torch.no_grad():
        damaged.weight.view(-1)[7] *= 1.01
    file = tmp_path / "damaged.onnx"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the exporter's own
        torch.onnx.export(damaged, (sample,), str(file), dynamo=True, verbose=False)
    [verdict] = prove(["onnx"], subject, sample, checks=["parity"], artifact=file).verdicts
    assert verdict.outcome is Outcome.FAILED, verdict.reason


def test_a_weight_norm_whose_gain_is_the_weights_own_length(prove):
    """As at the start of training: what the exporter computed is the direction again, bit for bit."""
    torch.manual_seed(0)
    layer = nn.utils.parametrizations.weight_norm(nn.Conv1d(32, 32, 16, groups=4), dim=2)
    verdicts = {
        verdict.check: verdict
        for verdict in prove(["onnx"], layer.eval(), drawn(2, 32, 40)).verdicts
    }
    assert verdicts["weights"].outcome is Outcome.PASSED, verdicts["weights"].reason
    with torch.no_grad():
        layer.parametrizations.weight.original0.mul_(2)
    verdicts = {
        verdict.check: verdict
        for verdict in prove(["onnx"], layer.eval(), drawn(2, 32, 40)).verdicts
    }
    assert verdicts["weights"].outcome is Outcome.PASSED, verdicts["weights"].reason
