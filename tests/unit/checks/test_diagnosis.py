"""Where a port leaves the model, and whose fault that is: nothing is said that two witnesses do not
say.
"""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn


class Marked(nn.Module):
    """Marks the element nearest zero: a tracer freezes which one."""

    def forward(self, x):
        y = x.clone()
        y[int(x.abs().argmin())] = 0.5
        return y * 3


class Layers(nn.Module):
    """One line for each operation."""

    def __init__(self, wrong=""):
        super().__init__()
        self.first, self.second, self.wrong = nn.Linear(8, 8), nn.Linear(8, 8), wrong

    def forward(self, x):
        y = self.first(x)
        y = torch.tanh(y)
        y = y * 1.01 if self.wrong == "scaled" else y
        z = y.softmax(-2 if self.wrong == "axis" else -1)
        return self.second(z)


@pytest.mark.filterwarnings("ignore::torch.jit.TracerWarning")
@pytest.mark.parametrize("target", ["torchscript", "onnx_legacy"])
def test_a_few_wrong_elements_are_followed_to_their_line(prove, needs, target):
    needs({"onnx": "onnx", "onnxruntime": "onnxruntime"})
    generator = torch.Generator().manual_seed(0)
    one, other = (torch.randn(4000, generator=generator) for _ in range(2))
    report = prove([target], Marked(), one, samples=[other], checks=["parity"], examples=0)
    where = report.verdicts[0].evidence["where"]
    assert "y[int(x.abs().argmin())] = 0.5" in where, where


@pytest.mark.parametrize(
    ("wrong", "line"), [("scaled", "y.softmax("), ("axis", "y.softmax(")], ids=str
)
def test_a_brought_file_is_wrong_from_a_line_on(prove, needs, wrong, line):
    needs({"onnx": "onnx", "onnxruntime": "onnxruntime"})
    torch.manual_seed(0)
    right = Layers().eval()
    other = Layers(wrong).eval()
    other.load_state_dict(right.state_dict())
    x = torch.randn(16, 8)
    made = prove(["onnx"], other, x, checks=["parity"]).verdicts[0].evidence["artifact"]
    file = Path(made) / "model.onnx"
    [verdict] = prove(["onnx"], right, x, checks=["parity"], artifact=file, examples=0).verdicts
    assert line in verdict.evidence["where"], verdict.evidence["where"]
    said = "gives the same wrong answer from the same file"
    blame = verdict.evidence["blame"]
    assert blame.startswith("the export: ")
    assert blame.endswith(said)


class Largest(nn.Module):
    def forward(self, x):
        return torch.relu(x).max(dim=-1).values


@pytest.mark.parametrize("target", ["onnx", "onnx:openvino"])
def test_a_right_answer_from_the_file_clears_the_export_whoever_else_is_wrong(prove, needs, target):
    """ONNX Runtime and OpenVINO lose a NaN in a maximum; onnx's own evaluator does not."""
    needs({"onnx": "onnx", "onnxruntime": "onnxruntime", "openvino": "openvino"})
    sample = torch.tensor([[1.0, float("nan")] * 4] * 2)
    [verdict] = prove(
        [target], Largest(), torch.randn(2, 8), samples=[sample], checks=["parity"], examples=0
    ).verdicts
    blame = verdict.evidence["blame"]
    assert blame.startswith("the runtime: reference gives the right answer from the same file")
    assert blame.endswith("onnxruntime a wrong one too") is (target == "onnx:openvino")


class Frozen(nn.Module):
    """A tracer freezes the factor."""

    def __init__(self):
        super().__init__()
        self.first, self.second = nn.Linear(8, 8), nn.Linear(8, 8)

    def forward(self, x):
        y = torch.relu(self.first(x)) + 0.1
        factor = int(x[0].abs().sum().item() * 100) % 5 + 1
        y = y * factor
        return self.second(y).tanh()


@pytest.mark.filterwarnings("ignore::torch.jit.TracerWarning")
@pytest.mark.parametrize(
    ("target", "package", "blame"),
    [
        (
            "mnn(exporter=legacy)",
            "MNN",
            "the export: the onnx_legacy file that it is made from gives the same wrong answer",
        ),
        ("openvino", "openvino", None),
        ("ncnn", "ncnn", None),
    ],
)
def test_a_runtime_that_shows_nothing_is_made_to(prove, needs, target, package, blame):
    needs({package: package})
    torch.manual_seed(0)
    x, other = torch.randn(3, 8), torch.randn(3, 8) * 2
    module = Frozen().eval()
    [verdict] = prove([target], module, x, samples=[other], checks=["parity"], examples=0).verdicts
    assert "y = y * factor" in verdict.evidence["where"], verdict.evidence
    assert verdict.evidence.get("blame") == blame


class Cropped(nn.Module):
    """Runtimes that know no negative padding refuse this in one place."""

    def __init__(self):
        super().__init__()
        self.first, self.conv = nn.Linear(8, 8), nn.Conv1d(1, 4, 3, padding=1)

    def forward(self, x):
        y = self.conv(torch.relu(self.first(x))[:, None])
        y = nn.functional.pad(y, (-1, 2))
        return y.mean(1).softmax(-1)


@pytest.mark.parametrize(
    ("target", "package", "outcome", "blame"),
    [
        ("ncnn", "ncnn", "failed", None),
        (
            "onnx:tract",
            "tract",
            "crashed",
            "the runtime: onnxruntime gives the right answer from the same file",
        ),
    ],
)
def test_a_refusal_is_followed_to_its_line(prove, needs, target, package, outcome, blame):
    needs({package: package})
    [verdict] = prove([target], Cropped().eval(), torch.randn(3, 8), checks=["parity"]).verdicts
    assert verdict.outcome == outcome
    where = verdict.evidence["where"]
    assert "nn.functional.pad(y, (-1, 2))" in where, where
    assert where.endswith("the model up to there is refused, and taken without it")
    assert verdict.evidence.get("blame") == blame


class Draws(nn.Module):
    """Its answers differ by what no file has."""

    calls = 0

    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(4, 4)

    def forward(self, x):
        self.calls += 1
        return self.layer(x) * self.calls


def test_a_model_that_answers_one_sample_in_two_ways_is_to_blame_itself(prove, needs):
    needs({"onnx": "onnx", "onnxruntime": "onnxruntime"})
    for target in ("torch_export", "onnx"):
        [verdict] = prove(
            [target], Draws().eval(), torch.randn(2, 4), checks=["parity"], examples=0
        ).verdicts
        assert verdict.evidence["blame"] == (
            "the model: it answers args and args again, one sample, in two ways (attribute calls "
            "changed in between), the exported model in one"
        )


class Merged(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv, self.norm = nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4)
        self.norm.running_var.fill_(2.0)  # else it changes nothing

    def forward(self, x):
        y = self.conv(x)
        return torch.relu(self.norm(y))


def test_of_operations_that_an_export_merges_the_wrong_one_is_named(prove, needs, monkeypatch):
    """The exporter puts the normalisation into the convolution before it."""
    needs({"onnx": "onnx", "onnxruntime": "onnxruntime"})
    from pytest_modelport.backends.formats import onnx as real

    export = real.export

    def wrong(request):
        next(p for p in request.module.modules() if isinstance(p, nn.BatchNorm2d)).eps = 0.3
        return export(request)

    monkeypatch.setattr(real, "export", wrong)
    torch.manual_seed(0)
    [verdict] = prove(
        ["onnx"], Merged().eval(), torch.randn(2, 1, 6, 6), checks=["parity"], examples=0
    ).verdicts
    assert "native_batch_norm.default in norm" in verdict.evidence["where"], verdict.evidence


def test_what_the_port_never_promised_to_take_is_nobodys_fault(prove, needs):
    needs({"onnx": "onnx", "onnxruntime": "onnxruntime"})
    [verdict] = prove(
        ["onnx"], nn.Linear(4, 4), torch.randn(2, 4), samples=[torch.randn(3, 4)], checks=["parity"]
    ).verdicts
    assert "cannot be fed" in verdict.reason
    assert not {"where", "blame"} & set(verdict.evidence)
