"""Ways in which well-known tools say `passed` on a broken port. Each is planted here, in a real
artifact, and must come out red.
"""

from __future__ import annotations

import warnings

import pytest
import torch
from onnx import TensorProto, helper
from torch import nn
from torch.export import Dim

from pytest_modelport import Outcome
from pytest_modelport.backends.runtimes import onnxruntime, onnxruntime_tensorrt
from pytest_modelport.backends.runtimes._onnxruntime import OnnxRuntimeSession
from pytest_modelport.backends.session_options import SessionOptions
from pytest_modelport.core.verdict import worst

X = torch.tensor([[0.5, -1.0, 2.0], [1.5, 0.25, -0.75]])


class Net(nn.Module):
    """Two outputs, of which both matter."""

    def forward(self, x):
        return {"scores": x * 2, "total": x.sum(-1)}


class Port(nn.Module):
    """What was shipped instead: any function from x to outputs."""

    def __init__(self, function) -> None:
        super().__init__()
        self.function = function

    def forward(self, x):
        return self.function(x)


def ship(function, path, example=X):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.jit.save(
            torch.jit.trace(Port(function), example, strict=False, check_trace=False), path
        )
    return path


def right(x):
    return {"scores": x * 2, "total": x.sum(-1)}


def verdict(prove, tmp_path, function, subject=None, args=X, **options):
    report = prove(
        ["torchscript"],
        subject or Net(),
        args,
        artifact=ship(function, tmp_path / "model.pt"),
        **options,
    )
    return worst(report.verdicts), report


def test_the_right_port_passes(prove, tmp_path):
    assert verdict(prove, tmp_path, right)[1].passed


@pytest.mark.parametrize(
    ("function", "reason"),
    [
        # 1: an output that is there on one side only; the first output is not the only one
        (lambda x: {"scores": x * 2}, "the exported model lacks total"),
        (lambda x: {**right(x), "extra": x}, "the exported model adds extra"),
        (lambda x: {"scores": x * 2, "sum": x.sum(-1)}, "lacks total and adds sum"),
        (lambda x: {"scores": x * 2, "total": x.sum(-1) + 1}, "'total' at args is wrong"),
        # 3: NaN compares as false with everything
        (
            lambda x: {"scores": x * 2, "total": x.sum(-1) * float("nan")},
            "NaN/inf pattern of 'total'",
        ),
        (
            lambda x: {"scores": x * 2 / 0.0 * 0.0, "total": x.sum(-1)},
            "NaN/inf pattern of 'scores'",
        ),
        # 4: shapes that broadcast, dtypes that convert
        (lambda x: {"scores": x * 2, "total": x.sum(-1, keepdim=True)}, "shape of 'total'"),
        (lambda x: {"scores": x * 2, "total": x.sum()}, "shape of 'total'"),
        (lambda x: {"scores": (x * 2).half(), "total": x.sum(-1)}, "dtype of 'scores'"),
        (lambda x: {"scores": (x * 2).double(), "total": x.sum(-1)}, "dtype of 'scores'"),
        (lambda x: {"scores": x * 2, "total": x.sum(-1).long()}, "dtype of 'total'"),
        # 6: the difference is measured and not compared
        (lambda x: {"scores": x * 2 + 1e6, "total": x.sum(-1)}, "'scores' at args is wrong"),
    ],
)
def test_a_port_that_differs_is_red(prove, tmp_path, function, reason):
    found, report = verdict(prove, tmp_path, function)
    assert found.outcome is Outcome.FAILED
    assert reason in found.reason
    assert not report.passed


@pytest.mark.parametrize(
    "function",
    [
        lambda x: {"scores": x * 0, "total": x.sum(-1) * 0},
        lambda x: {"scores": -x * 2, "total": -x.sum(-1)},
    ],
)
def test_small_numbers_are_numbers(
    prove, tmp_path, function
):  # 5: zeros and wrong signs within an absolute tolerance
    found, _ = verdict(prove, tmp_path, function, args=X * 1e-7)
    assert found.outcome is Outcome.FAILED


def test_every_sample_is_asked(
    prove, tmp_path
):  # 2: fewer samples on one side; 13: only the traced shape
    found, _ = verdict(
        prove,
        tmp_path,
        lambda x: {"scores": x * 2, "total": x.sum(-1) * (x.shape[0] / 2)},
        samples=[X, X[:1], X],
    )
    assert found.outcome is Outcome.FAILED
    assert found.evidence["calls"] == {
        "args": "passed", "args again": "passed", "samples[0]": "passed", "samples[1]": "failed", "samples[2]": "passed",
    }  # fmt: skip


def test_a_call_that_is_not_reached_is_not_passed(prove):  # 7: a dead child found nothing
    model, options = nn.LSTM(3, 2, batch_first=True).eval(), {"dynamic_shapes": {0: Dim.DYNAMIC}}
    report = prove(
        ["onnx"],
        model,
        torch.randn(4, 5, 3),
        samples=[torch.zeros(0, 5, 3), torch.randn(2, 5, 3)],
        **options,
    )
    assert worst(report.verdicts).outcome is Outcome.CRASHED
    assert list(report.verdicts[0].evidence["calls"].values()) == [
        "passed",
        "passed",
        "crashed",
        "not reached",
    ]


class Traced(nn.Module):
    """Behaves well except while something exports it: the reference must not be taken then."""

    def forward(self, x):
        return x + 1 if torch.jit.is_tracing() or torch.compiler.is_exporting() else x


@pytest.mark.parametrize("target", ["torchscript", "torch_export", "onnx"])
def test_the_reference_is_not_taken_under_the_exports_conditions(prove, target):  # 8
    assert worst(prove([target], Traced(), X).verdicts).outcome is Outcome.FAILED


def test_autocast_around_the_call_is_no_part_of_the_subject(prove):  # 8
    model = nn.Linear(3, 2)
    with torch.autocast("cpu", torch.bfloat16):
        report = prove(["torchscript", "torch_export", "onnx"], model, X)
        assert torch.is_autocast_enabled("cpu")
    assert report.passed, report
    assert all(
        item.evidence["comparison"]["expected"] == "float32[2, 2]"
        for item in report.verdicts
        if item.check == "parity"
    )


def test_a_provider_that_fell_back_is_red(tmp_path):  # 9
    graph = helper.make_graph(
        [helper.make_node("Identity", ["x"], ["y"])],
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1])],
    )
    model = helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10
    ).SerializeToString()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for runtime, name in ((onnxruntime, "CUDA"), (onnxruntime_tensorrt, "Tensorrt")):
            with pytest.raises(
                RuntimeError,
                match=f"{name}ExecutionProvider was asked for and ONNX Runtime fell back",
            ):
                OnnxRuntimeSession(
                    model, SessionOptions("cuda"), runtime.providers(SessionOptions("cuda"))
                )
        with pytest.raises(
            RuntimeError,
            match="AzureExecutionProvider was asked for and took none of the nodes: CPU.* took 1",
        ):
            OnnxRuntimeSession(
                model,
                SessionOptions(),
                [("AzureExecutionProvider", {}), ("CPUExecutionProvider", {})],
            )


class Accumulator(nn.Module):
    """Returns its own buffer: the same memory every time."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("total", torch.zeros(3))

    def forward(self, x):
        return self.total.add_(x.sum(0))


@pytest.mark.parametrize(
    ("target", "outcome"),
    [("torchscript", Outcome.FAILED), ("torch_export", Outcome.PASSED), ("onnx", Outcome.FAILED)],
)
def test_aliased_memory_hides_nothing(prove, target, outcome):  # 10
    report = prove([target], Accumulator(), X, samples=[X])
    assert report.verdicts[0].outcome is outcome, report
    assert "the model keeps state: buffer total changed" in report.verdicts[0].notes


def test_a_batch_axis_is_not_guessed(prove):  # 12: (layers * directions, batch, hidden)
    model = nn.LSTM(3, 4, 2, batch_first=True, bidirectional=True).eval()
    report = prove(
        ["torchscript", "torch_export", "onnx"],
        model,
        torch.randn(4, 5, 3),
        samples=[torch.randn(2, 5, 3)],
        dynamic_shapes={0: "b"},
    )
    assert report.passed, report


def test_a_baked_batch_axis_is_noticed(prove):  # 12
    class Baked(nn.Module):
        def forward(self, x):
            return x.reshape(int(x.shape[0]), -1).sum(0, keepdim=True) * int(x.shape[0])

    report = prove(["torchscript"], Baked(), torch.randn(2, 3), samples=[torch.randn(4, 3)])
    assert worst(report.verdicts).outcome is Outcome.FAILED


def test_two_subjects_never_share_an_entry(prove):  # 15
    good, bad = nn.Linear(3, 2), nn.Linear(3, 2)
    bad.load_state_dict(good.state_dict())
    bad.register_forward_hook(lambda *_: None)
    assert prove(["torchscript"], good, X).passed
    with torch.no_grad():
        bad.weight[0, 0] += 1e-6
    report = prove(["torchscript"], bad, X)
    assert report.passed
    assert (
        report.verdicts[0].evidence["artifact"]
        != prove(["torchscript"], good, X).verdicts[0].evidence["artifact"]
    )


def test_the_same_seed_gives_the_same_verdict_every_time(prove):
    model = nn.Sequential(nn.Linear(3, 8), nn.GELU(), nn.Linear(8, 2)).eval()

    def evidence():
        from pytest_modelport.cleanroom.workspace import (
            Workspace,
        )  # a new workspace: nothing is remembered

        with Workspace() as fresh:
            from pytest_modelport.core.route import Route
            from pytest_modelport.engine import pipeline
            from pytest_modelport.engine.build_case import build_case

            found = pipeline.prove(
                fresh, build_case(model, X), Route("onnx"), ("parity", "weights")
            )
        return [
            (item.outcome, item.reason, {k: v for k, v in item.evidence.items() if k != "artifact"})
            for item in found
        ]

    assert evidence() == evidence()
