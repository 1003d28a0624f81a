"""Deployment runtimes against the table of what really becomes of known models
(fixtures/deployment.py).
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from torch import nn

from fixtures import deployment
from pytest_modelport.backends import registry
from pytest_modelport.cleanroom import install
from pytest_modelport.cleanroom.environments import own
from pytest_modelport.core.verdict import worst


def provide(target, needs):
    """Makes the environments of the target's own; its packages here must be there."""
    parsed = registry.target(target)
    for item in (registry.format_(parsed.format), registry.runtime(parsed.runtime)):
        if home := registry.home(item):
            install.create(own()[home], print)
        else:
            needs(item.REQUIRES)


@pytest.mark.parametrize("name", [pytest.param("encoder", marks=pytest.mark.full), "lstm"])
def test_litert_is_right_about_what_it_converts_with_a_fixed_batch(name, prove, needs):
    provide("litert", needs)
    model, example, _ = deployment.case(name)
    assert prove(["litert"], model, example).passed


#: Half a minute each, of which the first model says the most.
LONG = ("executorch", "executorch_portable", "litert")
CELLS = [
    pytest.param(
        name,
        target,
        marks=pytest.mark.full
        if target in deployment.LARGE or name == "wide" or (target in LONG and name != "cnn")
        else [],
    )
    for name in ("cnn", "encoder", "lstm", "wide")
    for target in deployment.TARGETS
]


@pytest.mark.parametrize(("name", "target"), CELLS)
def test_what_becomes_of_a_model_is_what_is_known(name, target, prove, needs):
    provide(target, needs)
    model, example, other = deployment.case(name)
    report = prove([target], model, example, samples=[other], dynamic_shapes=deployment.shapes())
    verdict = worst(report.verdicts)
    outcome, stage, words = deployment.KNOWN.get((name, target), ("passed", "compare", ""))
    assert (str(verdict.outcome), str(verdict.stage)) == (outcome, stage), verdict
    assert words in verdict.reason


@pytest.mark.parametrize(
    "target",
    [
        pytest.param(name, marks=pytest.mark.full) if name in deployment.LARGE else name
        for name in deployment.TARGETS
        if ":" not in name
    ],
)
def test_a_file_that_is_brought_is_proven_as_one_that_was_exported(target, prove, needs, tmp_path):
    """Whatever it promises, and in whatever form: some are folders, most say nothing of their
    inputs.
    """
    provide(target, needs)
    model, example, other = deployment.case("cnn")
    made = prove(
        [target], model, example, samples=[other], dynamic_shapes=deployment.shapes()
    ).verdicts[0]
    folder = Path(made.evidence["artifact"])
    entry = json.loads((folder / "manifest.json").read_text())["entry"]
    again = prove([target], model, example, samples=[other], artifact=folder / entry).verdicts[0]
    assert (again.outcome, again.stage) == (made.outcome, made.stage), again


#: ncnn dies of a network that is a ReLU alone, and its answers are copied; Core ML gives none here.
ANSWERING = [
    name for name in deployment.TARGETS if name not in (*deployment.LARGE, "ncnn", "coreml")
]


@pytest.mark.parametrize("target", ANSWERING)
def test_an_answer_outlives_the_objects_it_came_in(target, prove, needs):
    """IREE takes the memory of its results back with them: large ones could not be read, others
    were overwritten.
    """
    provide(target, needs)
    verdict = worst(
        prove([target], nn.ReLU(), torch.randn(1, 2, 400, 400), checks=["parity"]).verdicts
    )
    assert verdict.passed, verdict


def test_every_deployment_target_is_in_the_table():
    extras = {
        name: {
            registry.format_(registry.target(name).format).EXTRA,
            registry.runtime(registry.target(name).runtime).EXTRA,
        }
        for name in registry.targets()
    }
    deployed = {
        name
        for name, found in extras.items()
        if found - {"", "onnx"} or registry.target(name).environment
    }
    legacy = {
        name for name in deployed if name.startswith("onnx_legacy:")
    }  # the same runtimes on the older exporter's files
    elsewhere = {"onnx:torch", "mindspore"}  # tests/full
    gpu = {
        name
        for name in deployed
        if "cpu" not in registry.runtime(registry.target(name).runtime).DEVICES
    }
    assert deployed - legacy - elsewhere - gpu == set(deployment.TARGETS)


@pytest.mark.parametrize("target", ["openvino(precision=bf16)", "onnx(precision=bf16):openvino"])
def test_bfloat16_that_a_processor_chooses_is_caught(target, prove, needs):
    provide(target, needs)
    model, example, _ = deployment.case("encoder")
    report = prove([target], model, example)
    parity = report.verdicts[0]
    import openvino

    if "BF16" not in openvino.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES"):
        # Computed in float32 it would be green here and wrong where it is served.
        assert str(parity.outcome) == "inconclusive", report
        assert parity.reason == "this processor has no bf16: OpenVINO computes in f32"
        return
    assert str(parity.outcome) == "failed", report
    assert "is wrong" in parity.reason
    assert parity.evidence["comparison"]["count"] > 0
