"""Transforms that go wrong without a word: each must come out not green, with a message that names
the cause.
"""

from __future__ import annotations

import copy
import math
import re
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.utils import prune

from fixtures import digits
from pytest_modelport import Outcome, T
from pytest_modelport.backends import registry
from pytest_modelport.cleanroom.session import RemoteSession
from pytest_modelport.core.arrays import Array
from pytest_modelport.core.verdict import worst
from pytest_modelport.reports.failure_text import failure

CHECKS = ("parity", "weights", "quality")


@pytest.fixture
def ported(prove, needs):
    """Proves one trained network on one route."""

    def run(name, target, transform, **options):
        for step in getattr(transform, "steps", ()):
            if step.function is None:
                needs(registry.transform(step.name).REQUIRES)
        needs(registry.format_(registry.target(target).format).REQUIRES)
        argument = "images" if name == "cnn" else "rows"
        return prove(
            [target],
            options.pop("model", None) or digits.load(name),
            digits.images(4, name=name),
            samples=[digits.images(64, start=4, name=name)],
            dynamic_shapes={argument: {0: "batch"}},
            checks=CHECKS,
            transforms=[transform],
            **options,
        )

    return run


def said(report):
    verdict = worst(report.verdicts)
    assert not report.passed, report
    assert verdict.reason.split()[0] in failure(report.verdicts)
    return f"{verdict.outcome} {verdict.check}: {verdict.reason}"


@pytest.mark.parametrize(
    "transform",
    [T.fp16(), T.prune_global(amount=0.1), T.fuse(), T.ort_static(weights="uint8"), T.ort_fp16()],
)
def test_a_sound_transform_is_green(ported, transform):
    report = ported("cnn", "onnx", transform)
    assert report.passed, report
    assert [verdict.check for verdict in report.verdicts] == list(CHECKS)


def test_weights_that_the_exporter_folds_back_to_float(ported):
    text = said(ported("encoder", "onnx", T.torchao_int8_weight()))
    assert text.startswith("failed quality: the artifact stores 1.01x")
    assert "of float32" in text


def test_four_bits_of_a_file_whose_layers_are_gemm(ported):
    text = said(ported("cnn", "onnx", T.ort_int4()))
    assert "nothing to quantize: no MatMul with constant weights (2 Gemm)" in text


def test_an_lstm_that_a_quantizer_leaves_float(ported):
    text = said(ported("lstm", "openvino", T.nncf_weights()))
    assert "failed quality: the artifact stores 0.98x" in text
    assert "kB of float32" in text


def test_nncf_on_an_lstm_is_wrong(ported):
    """Whether `preset=mixed` would do depends on the processor's instructions for eight bits."""
    text = said(ported("lstm", "openvino", T.nncf_static()))
    assert text.startswith("failed quality: ")
    assert "at least 20 dB is required" in text


def test_options_at_fault_are_named_with_those_that_would_do(ported, monkeypatch):
    import onnx

    from pytest_modelport.backends.transforms import ort_optimize

    def halved(work):
        model = onnx.load(work.source)
        if not work.options:
            [first, *_] = model.graph.initializer
            half = onnx.numpy_helper.to_array(first) * np.float32(0.5)
            first.CopyFrom(onnx.numpy_helper.from_array(half, first.name))
        onnx.save(model, work.target)
        return []

    monkeypatch.setattr(ort_optimize, "apply", halved)
    monkeypatch.setattr(ort_optimize, "TRY", ("level=basic",), raising=False)
    monkeypatch.setattr(ort_optimize, "FLOOR", "custom")
    floors = {"sqnr_db": 50, "top1": 0.99}
    text = said(ported("cnn", "onnx", T.ort_optimize(), quality=floors))
    assert text.startswith("failed quality: top-1 agreement is 0.")
    assert "the default options are the cause: ort_optimize(level=basic) gives" in text


def test_nncf_for_attention_is_wrong(ported):
    assert "failed quality: top-1 agreement is 0." in said(
        ported("encoder", "openvino", T.nncf_static(transformer=True))
    )


def test_bfloat16_that_openvino_gives_as_float16_is_read_as_what_it_is(ported):
    report = ported("cnn", "openvino", T.bf16())
    assert report.passed, said(report)


def test_a_state_dict_loaded_without_strict_drops_what_is_masked(ported):
    def loaded_loosely(model):
        masked = copy.deepcopy(model)
        for part in masked.modules():
            if isinstance(part, (nn.Conv2d, nn.Linear)):
                prune.l1_unstructured(part, "weight", 0.1)
        torch.manual_seed(99)  # the trained network began from another seed
        other = digits.Cnn().eval()
        other.load_state_dict(masked.state_dict(), strict=False)
        return other

    text = said(ported("cnn", "torch_export", loaded_loosely, quality={"sqnr_db": 5, "top1": 0.95}))
    assert text.startswith("failed quality: top-1 agreement is 0.")
    assert (
        "features.0.weight, features.3.weight, features.6.weight and 2 more have nothing in common with the original's"
        in text
    )


def test_an_averaged_model_that_drops_its_first_member(ported):
    """The mean of a network and itself is the network; AveragedModel's first update copies what it
    is given.
    """

    def averaged(model):
        other = copy.deepcopy(model)
        with torch.no_grad():
            for parameter in other.parameters():
                parameter.mul_(-1)
        mean = torch.optim.swa_utils.AveragedModel(model)
        mean.update_parameters(other)
        return mean.module.eval()

    text = said(ported("cnn", "torch_export", averaged, quality={"sqnr_db": 20, "top1": 0.95}))
    assert "have nothing in common with the original's" in text


def test_float_weights_that_nobody_reads(ported, monkeypatch):
    from pytest_modelport.backends.transforms import _pt2e

    monkeypatch.setattr(_pt2e, "drop_unread", lambda module: None)
    text = said(ported("cnn", "torch_export", T.pt2e_static()))
    assert "failed quality: the artifact stores 1.2" in text
    assert "of float32" in text


def test_a_quantization_that_changes_nothing(ported, monkeypatch):
    from pytest_modelport.backends.transforms import ort_static

    monkeypatch.setattr(
        ort_static, "apply", lambda work: work.target.write_bytes(work.source.read_bytes()) and []
    )
    text = said(ported("cnn", "onnx", T.ort_static(weights="uint8"), seed=7))
    decibel = re.search(
        r"nothing was changed: the answers are the original's \(([\d.]+) dB\)", text
    )
    assert decibel, text
    assert float(decibel[1]) > 120  # rounding, which no two processors do alike


def test_an_opset_that_a_tool_changes(ported, monkeypatch):
    import onnx
    from onnx import version_converter

    from pytest_modelport.backends.transforms import onnxslim

    def apply(work):
        onnx.save(version_converter.convert_version(onnx.load(work.source), 19), work.target)
        return []

    monkeypatch.setattr(onnxslim, "apply", apply)
    assert "failed quality: the opset was changed from 20 to 19" in said(
        ported("encoder", "onnx", T.onnxslim(), seed=7)
    )


def test_pruning_that_is_lost_on_the_way(ported, monkeypatch):
    from pytest_modelport.workbench import transform_model

    monkeypatch.setattr(transform_model, "zeros", lambda module: 10_000)
    text = said(ported("cnn", "onnx", T.prune_threshold(), seed=7))
    assert "zeros, the pruned model has 10000: the export lost the pruning" in text


@pytest.mark.parametrize(
    "chain",
    [
        T.prune_global(amount=0.1) | T.pt2e_static(),
        T.prune_global(amount=0.1) | T.torchao_int8_weight(),
        T.prune_global(amount=0.1) | T.torchao_fp8_weight(),
        T.prune_global(amount=0.1) | T.fp16(),
    ],
    ids=str,
)
def test_what_was_pruned_stays_pruned_whatever_comes_after(ported, chain, monkeypatch):
    assert ported("cnn", "torch_export", chain).passed
    from pytest_modelport.workbench import transform_model

    monkeypatch.setattr(transform_model, "zeros", lambda module: 50_000)
    assert "the export lost the pruning" in said(ported("cnn", "torch_export", chain, seed=7))


class Norm(nn.Module):
    """Without weights; its squares are too large for float16."""

    def forward(self, x):
        return x / (x * x).sum(-1, keepdim=True).sqrt()


def test_a_model_without_weights_is_not_asked_to_shrink(prove):
    small = torch.randn(4, 64, generator=torch.Generator().manual_seed(0))
    assert prove(["onnx", "torchscript"], Norm(), small, transforms=["fp16"]).passed
    parity, *others = prove(["onnx"], Norm(), 100 * small, transforms=["fp16"]).verdicts
    assert parity.outcome is Outcome.FAILED
    assert "stores" not in failure([parity, *others])
    endless = {
        **parity.evidence,
        "comparison": {**parity.evidence["comparison"], "noise": math.inf},
    }
    assert "noise inf" in failure([replace(parity, evidence=endless)])


def test_a_changed_file_is_priced_whatever_checks_are_named(prove):
    report = prove(
        ["onnx"],
        digits.load("cnn"),
        digits.images(4),
        transforms=[T.ort_fp16()],
        checks=("parity",),
    )
    assert [verdict.check for verdict in report.verdicts] == ["parity", "quality"]


def test_steps_are_asked_for_also_where_parity_is_not(prove, needs, monkeypatch):
    """An exported model that is off by 50 dB: as near as two computations with steps must be."""
    from pytest_modelport.backends.transforms import pt2e_static

    needs(pt2e_static.REQUIRES)
    monkeypatch.setattr(RemoteSession, "run", scaled_by(0.997))

    def shapes():
        return prove(
            ["torch_export"],
            digits.load("cnn"),
            digits.images(4),
            dynamic_shapes={"images": {0: "batch"}},
            transforms=["pt2e_static"],
            checks=("shapes",),
            seed=11,
        ).verdicts[0]

    assert shapes().passed, shapes()
    monkeypatch.setattr(pt2e_static, "STEPS", False)
    assert "is wrong" in shapes().reason


def test_pruning_that_prunes_nothing(ported):
    assert "nothing was pruned" in said(
        ported("cnn", "torch_export", T.prune_threshold(threshold=0.0))
    )


def test_a_transform_of_the_users_needs_floors(ported):
    def same(model):
        return None

    assert "inconclusive quality: no quality floors for same" in said(
        ported("cnn", "torch_export", same)
    )


def test_a_transform_that_breaks_the_outputs_shape(ported):
    def shortened(model):
        model.classifier = nn.Linear(32, 5)

    assert "'output' at args is (4, 5) after shortened, (4, 10) before" in said(
        ported("cnn", "torch_export", shortened)
    )


def test_a_transform_that_takes_other_inputs(ported):
    def beheaded(model):
        return model.features

    assert "the transformed model takes input; the model takes images" in said(
        ported("cnn", "torch_export", beheaded)
    )


def scaled_by(factor):
    """In place of a session's `run`: every answer times a factor."""
    run = RemoteSession.run

    def scaled(self, feed, seed):
        answer = run(self, feed, seed)
        outputs = [(name, Array.of(array.numpy() * factor)) for name, array in answer.outputs]
        return replace(answer, outputs=tuple(outputs))

    return scaled


def test_a_port_that_breaks_a_quantized_model_is_not_excused_by_its_steps(ported, monkeypatch):
    """Values rounded to steps may differ by a step here and there, not all of them by 2 %."""
    monkeypatch.setattr(RemoteSession, "run", scaled_by(0.98))
    text = said(ported("cnn", "torch_export", T.pt2e_static()))
    assert text.startswith("failed parity: 'output' at")
    assert "is wrong" in text
    assert "(and without pt2e_static it is failed:" in text
