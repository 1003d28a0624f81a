"""What stands in the way of a port is said in words of its own: whose check, whose line, whose size."""

from __future__ import annotations

import re
from pathlib import Path

import onnx
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import nn

from pytest_modelport import Outcome


class Small(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv, self.head = nn.Conv2d(3, 4, 3), nn.Linear(4, 2)

    def forward(self, x):
        return self.head(torch.relu(self.conv(x)).mean((2, 3)))


@pytest.fixture
def small():
    torch.manual_seed(0)
    return Small().eval()


def test_torchscript_that_torch_cannot_read_back_says_so(prove, small):
    [verdict] = prove(
        ["torchscript(optimize=true)"], small, torch.randn(2, 3, 8, 8), checks=["parity"]
    ).verdicts
    assert verdict.outcome is Outcome.FAILED
    assert "torch cannot read back what torch.jit.optimize_for_inference saved" in verdict.reason
    assert "freeze=true" in verdict.reason


@pytest.mark.full
def test_aotinductors_own_check_is_called_one(prove, small):
    report = prove(
        ["aotinductor"],
        small,
        torch.randn(2, 3, 8, 8),
        samples=[torch.randn(1, 3, 8, 8)],
        dynamic_shapes={0: "batch"},
        checks=["parity"],
    )
    [verdict] = report.verdicts
    assert "by its own check, which Modelport turns on with AOTI_RUNTIME_CHECK_INPUTS=1" in (
        verdict.reason
    )


class Frozen(nn.Module):
    def forward(self, x):
        rows = int(x.shape[0])
        return x.reshape(rows, -1) * 2


@pytest.mark.filterwarnings("ignore::torch.jit.TracerWarning")
def test_a_declared_dim_that_is_frozen_is_named_with_its_line(prove):
    report = prove(
        ["torchscript"], Frozen(), torch.randn(4, 6), dynamic_shapes={0: "batch"}, checks=["shapes"]
    )
    [verdict] = report.verdicts
    said = re.match(r"batch is frozen at 4 by test_told_apart\.py:\d+: fails when", verdict.reason)
    assert said, verdict.reason


def test_executorch_takes_the_bounds_that_infer_gives(prove, needs, small):
    needs({"executorch": "executorch"})
    report = prove(
        ["executorch_portable"], small, torch.randn(2, 3, 8, 8), dynamic_shapes="infer", examples=5
    )
    assert report.passed, report
    notes = "\n".join(note for verdict in report.verdicts for note in verdict.notes)
    assert "memory is planned for batch up to 16, x_2 up to 32, x_3 up to 32" in notes


class Biased(nn.Module):
    def forward(self, x, bias=None):
        return x * 2.0 if bias is None else x * 2.0 + bias


@pytest.fixture
def optional(tmp_path):
    """An ONNX file whose second input may be left out."""
    tensor = helper.make_tensor_type_proto(TensorProto.FLOAT, [2, 3])

    def value(name):
        return helper.make_tensor_value_info(name, TensorProto.FLOAT, [2, 3])

    given = [
        helper.make_node("OptionalGetElement", ["bias"], ["b"]),
        helper.make_node("Add", ["twice", "b"], ["t"]),
    ]
    absent = [helper.make_node("Identity", ["twice"], ["e"])]
    nodes = [
        helper.make_node("Mul", ["x", "two"], ["twice"]),
        helper.make_node("OptionalHasElement", ["bias"], ["has"]),
        helper.make_node(
            "If",
            ["has"],
            ["y"],
            then_branch=helper.make_graph(given, "given", [], [value("t")]),
            else_branch=helper.make_graph(absent, "absent", [], [value("e")]),
        ),
    ]
    bias = helper.make_value_info("bias", helper.make_optional_type_proto(tensor))
    two = numpy_helper.from_array(torch.tensor([2.0]).numpy(), "two")
    graph = helper.make_graph(nodes, "g", [value("x"), bias], [value("y")], [two])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)
    onnx.checker.check_model(model)
    onnx.save(model, tmp_path / "optional.onnx")
    return tmp_path / "optional.onnx"


@pytest.mark.parametrize("target", ["onnx", "onnx:reference"])
@pytest.mark.parametrize("count", [1, 2])
def test_an_input_that_may_be_left_out_is_fed_or_left_out(prove, needs, optional, target, count):
    needs({"onnx": "onnx", "onnxruntime": "onnxruntime"})
    args = tuple(torch.randn(2, 3) for _ in range(count))
    report = prove([target], Biased().eval(), args, checks=["parity"], artifact=optional)
    assert report.passed, report


def test_one_that_is_wrong_beside_an_input_left_out_is_red(prove, needs, optional):
    needs({"onnx": "onnx", "onnxruntime": "onnxruntime"})

    class Other(Biased):
        def forward(self, x, bias=None):
            return super().forward(x, bias) + 1e-3

    report = prove(
        ["onnx"], Other().eval(), torch.randn(2, 3), checks=["parity"], artifact=optional
    )
    [verdict] = report.verdicts
    assert verdict.outcome is Outcome.FAILED


LOWEST = torch.finfo(torch.float32).min


class Attention(nn.Module):
    """Hides what a mask says by the lowest number."""

    def __init__(self, hidden=LOWEST):
        super().__init__()
        self.query, self.key, self.value = (nn.Linear(16, 16) for _ in range(3))
        self.hidden = hidden

    def forward(self, x, mask):
        bias = (1.0 - mask[:, None, :].float()) * self.hidden
        scores = self.query(x) @ self.key(x).transpose(1, 2) / 4 + bias
        return scores.softmax(-1) @ self.value(x)


MASK = torch.tensor([[1, 1, 1, 1, 1], [1, 1, 1, 0, 0], [0, 0, 0, 0, 0]])


def test_a_row_that_a_mask_hides_whole_is_decided(prove, needs):
    """What is equal gets equal shares: no runtime's softmax tells elements apart by their roundings
    at -3e38.
    """
    needs({"onnx": "onnx", "onnxruntime": "onnxruntime"})
    torch.manual_seed(0)
    args = (torch.randn(3, 5, 16), MASK)
    report = prove(["onnx", "torchscript"], Attention().eval(), args, checks=["parity"])
    assert report.passed, report


def test_one_that_answers_otherwise_there_is_red(prove, needs):
    """A file that masks by a finite -10: the hidden row is not uniform."""
    needs({"onnx": "onnx", "onnxruntime": "onnxruntime"})
    torch.manual_seed(0)
    right, args = Attention().eval(), (torch.randn(3, 5, 16), MASK)
    other = Attention(-10.0).eval()
    other.load_state_dict(right.state_dict())
    made = prove(["onnx"], other, args, checks=["parity"]).verdicts[0].evidence["artifact"]
    file = Path(made) / "model.onnx"
    [verdict] = prove(["onnx"], right, args, checks=["parity"], artifact=file).verdicts
    assert verdict.outcome is Outcome.FAILED
