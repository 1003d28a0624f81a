"""What a changed file costs at values that the user did not give."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from pytest_modelport.request.transform_chain import chain_of


class Attention(nn.Module):
    """One causal head whose masks are large negative numbers, which half precision does not have."""

    def __init__(self, value):
        super().__init__()
        self.value, self.out = value, nn.Linear(16, 16)

    def forward(self, x, mask):
        causal = torch.ones(x.shape[1], x.shape[1]).triu(1) * self.value
        padding = (1 - mask[:, None, :].to(x.dtype)) * self.value
        scores = 3 * x @ x.transpose(1, 2) + causal + padding
        return self.out(scores.softmax(-1) @ x)


@pytest.mark.parametrize(("value", "outcome"), [(-1e9, "failed"), (-1e3, "passed")])
def test_half_precision_is_priced_at_a_padded_mask(prove, needs, value, outcome):
    needs({"onnxruntime": "onnxruntime"})
    torch.manual_seed(0)
    report = prove(
        ["onnx"],
        Attention(value).eval(),
        (torch.randn(4, 12, 16), torch.ones(4, 12, dtype=torch.int64)),
        transforms=[chain_of("ort_fp16")],
        checks=("quality",),
        quality={"top1": 0, "size_ratio": 2},
    )
    [verdict] = report.verdicts
    assert verdict.outcome == outcome, (verdict.reason, verdict.evidence)
    assert verdict.evidence["price"]["sqnr_db"] > 50  # at the user's own sample nothing is lost
    if outcome == "failed":
        assert verdict.reason.startswith("at other values (")
        assert "mask suffix" in verdict.evidence["elsewhere"]["sample"]
    else:
        assert verdict.evidence["elsewhere"]["samples"] >= 3
        assert verdict.evidence["elsewhere"]["sqnr_db"] > 25
