"""Dims that an export fixes, and what it assumes of the others."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from torch import nn
from torch.export import Dim

from pytest_modelport import Outcome, Stage

X = torch.randn(4, 3, generator=torch.Generator().manual_seed(0))


class Viewed(nn.Module):
    def forward(self, x):
        return x.view(4, -1) * 2


class One(nn.Module):
    def forward(self, x):
        assert len(x) == 1
        return x * 2


class Branching(nn.Module):
    def forward(self, x, y):
        if y.shape[0] > 3:
            return x * 2
        return x * 3


@pytest.mark.parametrize("dim", ["batch", Dim("batch"), Dim.DYNAMIC])
def test_a_dim_that_torch_cannot_leave_open_is_named_with_the_line_that_fixes_it(prove, dim):
    verdict = prove(
        ["torch_export"], Viewed().eval(), X, dynamic_shapes={0: dim}, checks=("parity",)
    ).verdicts[0]
    assert (verdict.outcome, verdict.stage) == (Outcome.UNSUPPORTED, Stage.EXPORT)
    assert verdict.reason.startswith(
        "cannot export: x axis 0 was to vary and is fixed at 4, by "
    ), verdict.reason
    assert verdict.reason.endswith(f"{Path(__file__).name}:20: return x.view(4, -1) * 2")


@pytest.mark.parametrize(
    ("x", "why"),
    [(X, ":20: return x.view(4, -1) * 2"), (X[:1], "as exporters do with 0 and 1 in the sample")],
)
def test_a_dim_that_torch_fixes_in_silence_is_red(prove, x, why):
    model = Viewed() if x is X else One()
    verdict = prove(
        ["torch_export"], model.eval(), x, dynamic_shapes={0: Dim.AUTO}, checks=("parity",)
    ).verdicts[0]
    assert (verdict.outcome, verdict.stage) == (Outcome.FAILED, Stage.EXPORT)
    assert f"x axis 0 (x_0) was to vary and is fixed at {len(x)}, " in verdict.reason
    assert verdict.reason.endswith(why)


def test_a_range_wider_than_what_the_export_assumes_is_said(prove):
    shapes = {"y": {0: Dim("rows")}}
    verdict = prove(
        ["torch_export"], Branching().eval(), (X, X), dynamic_shapes=shapes, checks=("parity",)
    ).verdicts[0]
    assert verdict.reason.startswith(
        "cannot export: the declared dims are wider than what it assumes: y.shape[0] > 3 ("
    )
    assert verdict.reason.endswith("if y.shape[0] > 3:)")


@pytest.mark.parametrize("target", ["torch_export", "onnx"])
def test_what_an_export_assumes_is_in_the_promise(prove, target):
    shapes = {"y": {0: "rows"}}
    verdict = prove(
        [target], Branching().eval(), (X, X), dynamic_shapes=shapes, checks=("parity",)
    ).verdicts[0]
    assert verdict.passed
    guards = json.loads(Path(verdict.evidence["artifact"], "manifest.json").read_text())["guards"]
    assert [
        guard
        for guard in guards
        if guard.startswith("y.shape[0] > 3 (") and guard.endswith("if y.shape[0] > 3:)")
    ]


def test_a_static_hint_is_no_promise(prove):
    verdict = prove(["torch_export"], nn.ReLU().eval(), X, dynamic_shapes={0: Dim.STATIC}).verdicts
    assert [item.check for item in verdict if item.check == "shapes"] == []


class Shuffled(nn.Module):
    """Takes images whose sides are even."""

    def forward(self, x):
        return nn.functional.pixel_shuffle(nn.functional.pixel_unshuffle(x, 2) * 2, 2)


def test_sides_that_must_be_even_are_inferred_and_varied_by_two(prove):
    image = torch.randn(2, 3, 8, 12, generator=torch.Generator().manual_seed(0))
    verdict = prove(
        ["onnx"], Shuffled().eval(), image, dynamic_shapes="infer", checks=("shapes",)
    ).verdicts[0]
    assert (
        verdict.notes[0]
        == "dynamic_shapes={'x': {0: 'batch', 1: 'x_1', 2: '2*x_2', 3: '2*x_3'}} (inferred)"
    )
    assert verdict.passed, verdict
    assert verdict.evidence["refused"] == 0
    assert "x_2 1 to 16" in verdict.evidence["dims"]


@pytest.mark.parametrize("target", ["torch_export", "onnx", "torchscript"])
@pytest.mark.parametrize("dim", ["batch", Dim.AUTO, Dim("batch", max=9)])
def test_a_sample_of_one_is_exported_as_two(prove, target, dim):
    model = nn.Sequential(nn.Linear(3, 4), nn.ReLU()).eval()
    report = prove(
        [target], model, X[:1], dynamic_shapes={"input": {0: dim}}, checks=("parity", "shapes")
    )
    assert report.passed, report
    assert any(
        caution.startswith("exported with ") and "would fix" in caution
        for caution in report.verdicts[0].cautions
    )
