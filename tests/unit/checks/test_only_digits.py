"""A loss of precision is said of wrong values, and of nothing else."""

from __future__ import annotations

import torch
from torch import nn

from pytest_modelport.checks._evidence import DIGITS


class Expm1(nn.Module):
    def forward(self, x):
        return torch.expm1(x)


class Counting(nn.Module):
    """Changes its input by less than torch.testing sees."""

    def forward(self, x):
        x.add_(1e-7)
        return x * 2


def test_a_formula_that_loses_the_digits_of_small_numbers(prove, needs):
    needs({"onnx": "onnx", "onnxruntime": "onnxruntime"})
    torch.manual_seed(0)
    [verdict] = prove(["onnx"], Expm1(), torch.randn(4, 50) * 1e-2, checks=["parity"]).verdicts
    assert str(verdict.outcome) == "failed"
    assert verdict.reason.endswith(DIGITS)


def test_an_input_that_is_not_changed_is_no_matter_of_digits(prove, needs):
    needs({"onnx": "onnx", "onnxruntime": "onnxruntime"})
    [verdict] = prove(["onnx"], Counting(), torch.rand(8) * 1e-3, checks=["parity"]).verdicts
    assert str(verdict.outcome) == "failed"
    assert "in place" in verdict.reason
    assert DIGITS not in verdict.reason
