"""Models nobody here wrote, and models really trained: what is true of them today, in both
directions.
"""

from __future__ import annotations

import pytest
import torch

from fixtures import digits, hub
from pytest_modelport import Outcome

#: (model, target) -> outcome and a part of the reason, where it is not `passed`.
KNOWN = {
    ("t5", "onnx"): (Outcome.UNSUPPORTED, "Cannot view a tensor with shape"),
    ("bert", "onnx:reference"): (Outcome.FAILED, "running the exported model on args fails"),
    ("t5", "onnx:reference"): (Outcome.UNSUPPORTED, "Cannot view a tensor with shape"),
}
TARGETS = ("onnx", "onnx:reference", "torchscript", "torch_export")


def check(report, name):
    for route, verdicts in report.routes.items():
        outcome, reason = KNOWN.get((name, route.target), (Outcome.PASSED, ""))
        assert verdicts[0].outcome is outcome, report
        assert reason in verdicts[0].reason, report
        if outcome is Outcome.PASSED:
            assert [(verdict.check, verdict.outcome) for verdict in verdicts] == [
                ("parity", Outcome.PASSED),
                ("weights", Outcome.PASSED),
            ], report


@pytest.mark.parametrize("name", hub.ARCHITECTURES)
def test_a_transformers_architecture(name, prove):
    model, args, kwargs = hub.build(name)
    check(prove(TARGETS, model, args, kwargs), name)


@pytest.mark.parametrize("name", digits.MODELS)
def test_a_trained_model_on_real_images(name, prove):
    images = digits.images(32, name=name).split(8)
    dynamic = None if name == "lstm" else {0: "batch"}
    report = prove(
        TARGETS, digits.load(name), images[0], samples=list(images[1:]), dynamic_shapes=dynamic
    )
    check(report, name)


@pytest.mark.parametrize("name", digits.MODELS)
def test_the_committed_weights_are_trained(name):
    inputs, labels = digits.data(name)
    with torch.no_grad():
        predicted = digits.load(name)(inputs[digits.TRAINED :]).argmax(1)
    assert (predicted == labels[digits.TRAINED :]).float().mean() > 0.9


def test_a_dynamic_batch_of_a_real_model(prove):
    images = digits.images(10)
    report = prove(
        ["onnx", "torch_export", "torchscript"],
        digits.load("cnn"),
        images[:4],
        samples=[images[:1], images],
        dynamic_shapes={0: "batch"},
    )
    assert report.passed, report
