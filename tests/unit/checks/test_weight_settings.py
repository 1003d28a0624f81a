"""What operators in a file are set to is the model's too."""

from __future__ import annotations

import warnings

import onnx
import pytest
import torch
from torch import nn

from pytest_modelport import Outcome

X = torch.randn(3, 8, generator=torch.Generator().manual_seed(0))


class Spelled(nn.Module):
    """A normalisation of its own, whose epsilon is a constant of the file."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.linear = nn.Linear(8, 8)

    def forward(self, x):
        x = self.linear(x)
        variance = x.pow(2).mean(-1, keepdim=True)
        return x * torch.rsqrt(variance + 1e-6)


def layers(approximate="none"):
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Linear(8, 16), nn.GELU(approximate=approximate), nn.LayerNorm(16, eps=1e-5)
    ).eval()


@pytest.fixture
def exported(tmp_path):
    def export(model, change=lambda _: None):
        path = tmp_path / "model.onnx"
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            torch.onnx.export(model, (X,), str(path), dynamo=True, verbose=False)
        file = onnx.load(path)
        change(file.graph)
        onnx.save(file, path)
        return path

    return export


def epsilon(graph):
    for node in graph.node:
        for attribute in node.attribute:
            if attribute.name == "epsilon":
                attribute.f = 9e-6


def approximate(graph):
    for node in graph.node:
        for attribute in node.attribute:
            if attribute.name == "approximate":
                attribute.s = b"none"


def added(graph):
    for tensor in graph.initializer:
        values = onnx.numpy_helper.to_array(tensor)
        if values.size == 1 and 0 < float(values.reshape(-1)[0]) < 1e-3:
            other = onnx.numpy_helper.from_array(values * values.dtype.type(0.9), tensor.name)
            tensor.CopyFrom(other)


@pytest.mark.parametrize(
    ("model", "change", "said"),
    [
        (layers(), epsilon, "epsilon of LayerNormalization"),
        (layers("tanh"), approximate, "approximate of Gelu"),
        (Spelled(), added, "the number added in"),
    ],
    ids=["epsilon", "approximate", "added"],
)
def test_a_setting_that_is_not_the_models_is_red_in_the_file(prove, exported, model, change, said):
    path = exported(model, change)
    report = prove(["onnx"], model, X, artifact=path, checks=("weights",))
    assert report.verdicts[0].outcome is Outcome.FAILED, report.verdicts[0].reason
    assert report.verdicts[0].reason.startswith(said)


@pytest.mark.parametrize("model", [layers(), layers("tanh")])
def test_the_models_own_settings_are_green(prove, exported, model):
    report = prove(["onnx"], model, X, artifact=exported(model), checks=("weights",))
    assert report.verdicts[0].passed, report.verdicts[0].reason
