"""The ways of each PyTorch-side path of saying `passed` on what is not the model."""

from __future__ import annotations

from pathlib import Path

import onnx
import pytest
import torch
from torch import nn

from pytest_modelport import Outcome, Stage, UsageError, verify
from pytest_modelport.backends.kit.onnx_files import opset
from pytest_modelport.core.verdict import worst

X = torch.randn(2, 3, generator=torch.Generator().manual_seed(0))


def test_a_compiled_model_that_eager_answers_for_is_red(prove):
    class Skipped(nn.Module):
        @torch.compiler.disable
        def forward(self, x):
            return x * 2

    verdict = worst(prove(["torch_compile(backend=eager)"], Skipped(), X).verdicts)
    assert verdict.outcome is Outcome.FAILED
    assert (
        "NothingCompiled: torch.compile ran no compiled graph: eager answered (0 compiled so far)"
        in verdict.reason
    )


def test_a_backend_that_computes_something_else_is_red(prove, monkeypatch):
    from pytest_modelport.backends.runtimes import torch_compile

    monkeypatch.setattr(
        torch_compile,
        "_backend",
        lambda options: lambda graph, inputs: lambda *args: (args[-1] * 3,),
    )

    class Double(nn.Module):
        def forward(self, x):
            return x * 2

    verdict = worst(prove(["torch_compile"], Double(), X).verdicts)
    assert (verdict.outcome, verdict.stage) == (Outcome.FAILED, Stage.COMPARE)


def test_compiled_graphs_of_another_test_are_not_reused(prove):
    class Scaled(nn.Module):
        def __init__(self, scale):
            super().__init__()
            self.scale = scale

        def forward(self, x):
            return x * self.scale

    for scale in (2.0, 3.0):
        assert prove(["torch_compile(backend=aot_eager)"], Scaled(scale), X).passed


def test_shapes_of_inner_values_are_kept_or_left_out_as_asked(prove):
    model = nn.Sequential(nn.Linear(3, 2), nn.ReLU()).eval()
    kept = {}
    for target in ("onnx", "onnx(value_info=false)"):
        parity = prove([target], model, X).verdicts[0]
        assert parity.passed
        kept[target] = len(
            onnx.load(Path(parity.evidence["artifact"], "model.onnx")).graph.value_info
        )
    assert kept["onnx"] > 0
    assert kept["onnx(value_info=false)"] == 0


def test_the_optimisation_level_asked_for_is_the_one_used(prove):
    used = [
        prove([f"onnx{level}"], nn.Linear(3, 2), X).verdicts[0].evidence["session"]
        for level in ("", "(optimization=disabled)")
    ]
    assert [session["graph_optimization_level"] for session in used] == [
        "ORT_ENABLE_ALL",
        "ORT_DISABLE_ALL",
    ]


@pytest.mark.parametrize("target", ["onnx(opset=13)", "onnx(opset=99)"])
def test_another_opset_than_asked_for_is_red(prove, target):
    verdict = worst(
        prove([target], nn.Sequential(nn.Linear(3, 2), nn.LayerNorm(2)).eval(), X).verdicts
    )
    assert (verdict.outcome, verdict.stage) == (Outcome.FAILED, Stage.EXPORT)
    assert "was asked for" in verdict.reason


@pytest.mark.parametrize("target", ["onnx(opset=20)", "onnx_legacy(opset=17)"])
def test_the_opset_asked_for_is_that_of_the_file(prove, target):
    report = prove([target], nn.Linear(3, 2).eval(), X)
    assert report.passed
    assert f"opset={opset(Path(report.verdicts[0].evidence['artifact']) / 'model.onnx')}" in target


def test_an_optimised_file_that_does_not_reload_is_red(prove):
    model = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.ReLU()).eval()
    images = torch.randn(1, 1, 6, 6)
    assert prove(["torchscript(freeze=true)"], model, images).passed
    verdict = worst(prove(["torchscript(optimize=true)"], model, images).verdicts)
    assert (verdict.outcome, verdict.stage) == (Outcome.FAILED, Stage.OPEN)


def test_freezing_a_model_in_train_mode_is_refused(prove):
    verdict = worst(prove(["torchscript(freeze=true)"], nn.Linear(3, 2).train(), X).verdicts)
    assert verdict.outcome is Outcome.UNSUPPORTED
    assert "Please call .eval()" in verdict.reason


def test_a_package_refuses_what_it_was_not_compiled_for(prove):
    verdict = worst(
        prove(["aotinductor"], nn.Linear(3, 2).eval(), X, samples=[torch.randn(5, 3)]).verdicts
    )
    assert (verdict.outcome, verdict.stage) == (Outcome.FAILED, Stage.RUN)
    assert verdict.evidence["calls"] == {
        "args": "passed",
        "args again": "passed",
        "samples[0]": "failed",
    }


def test_without_a_compiler_the_route_is_skipped_and_says_so(prove, monkeypatch):
    monkeypatch.setenv("PATH", "/nonexistent")
    monkeypatch.setenv("CXX", "icpx")
    for target in ("aotinductor", "torch_compile"):
        verdict = prove([target], nn.Linear(3, 2).eval(), X).verdicts[0]
        assert verdict.outcome is Outcome.SKIPPED
        assert verdict.reason.startswith(
            "no C++ compiler: none of icpx, g++, c++, clang++ is on the path"
        )
    assert prove(["torch_compile(backend=aot_eager)"], nn.Linear(3, 2).eval(), X).passed


def test_equal_layers_that_the_exporter_stores_once_are_all_found(prove):
    class Decay(nn.Module):
        def __init__(self):
            super().__init__()
            self.rates = nn.ParameterList(
                nn.Parameter(torch.arange(1.0, 4.0).log()) for _ in range(2)
            )

        def forward(self, x):
            for rate in self.rates:
                x = x * -rate.exp()
            return x

    assert prove(["onnx"], Decay().eval(), X).passed


def test_a_fault_of_our_own_is_an_error_of_one_route(prove, monkeypatch):
    from pytest_modelport.checks import weights

    monkeypatch.setattr(weights, "missing", lambda *_: 1 / 0)
    report = prove(["torchscript", "state_dict"], nn.Linear(3, 2).eval(), X)
    found = [verdict for verdict in report.verdicts if verdict.check == "weights"]
    assert [verdict.outcome for verdict in found] == [Outcome.ERROR, Outcome.ERROR]
    assert found[0].reason.startswith(
        "Modelport itself failed in weights: ZeroDivisionError: division by zero; please report"
    )
    assert not report.passed


OPERATOR = """
import torch

@torch.library.custom_op("modelport_tests::twice", mutates_args=())
def twice(x: torch.Tensor) -> torch.Tensor:
    return x * 2

@twice.register_fake
def _(x):
    return torch.empty_like(x)

class Twice(torch.nn.Module):
    def forward(self, x):
        return twice(x) + 1

def subject():
    return Twice(), torch.ones(3)
"""


def test_a_custom_operator_needs_its_module_in_the_clean_room(tmp_path, monkeypatch):
    (tmp_path / "operator_of_a_user.py").write_text(OPERATOR)
    monkeypatch.syspath_prepend(tmp_path)
    verdict = worst(verify("operator_of_a_user:subject", targets=["torch_export"]).verdicts)
    assert (verdict.outcome, verdict.stage) == (Outcome.FAILED, Stage.OPEN)
    assert "failed to resolve torch.ops.modelport_tests.twice.default" in verdict.reason
    assert verify(
        "operator_of_a_user:subject",
        targets=["torch_export", "torchscript"],
        imports=["operator_of_a_user"],
    ).passed
    with pytest.raises(
        UsageError, match="imports names 'operator_of_nobody': there is no such module"
    ):
        verify(
            "operator_of_a_user:subject", targets=["torch_export"], imports=["operator_of_nobody"]
        )
    with pytest.raises(UsageError, match="imports is 'os': give a list"):
        verify("operator_of_a_user:subject", targets=["torch_export"], imports="os")


class Cache:
    def __init__(self, keys, length):
        self.keys, self.length = keys, length


@pytest.mark.parametrize("target", ["torchscript", "onnx_legacy", "torch_export"])
def test_numbers_in_an_object_that_tracing_makes_tensors_are_no_outputs(prove, target):
    class Cached(nn.Module):
        def forward(self, x):
            return x + 1, Cache(x * 2, x.shape[0])

    report = prove([target], Cached(), X)
    assert report.passed, report


def test_weights_that_the_exporter_folds_into_one_number_are_found(prove):
    class Scaled(nn.Module):
        def __init__(self):
            super().__init__()
            self.left, self.right = (
                nn.Parameter(torch.randn(4) / 4),
                nn.Parameter(torch.randn(4) / 4),
            )

        def forward(self, x):
            return x * (self.left * self.right).sum().exp()

    assert prove(["onnx"], Scaled().eval(), X).passed
