"""Known models whose dims vary as they allow: what becomes of them is what the table says, the
smallest sample included.
"""

from __future__ import annotations

import pytest

from benchmarks.varying import as_known, cell, verdict_of
from fixtures import varying
from pytest_modelport.backends import registry
from pytest_modelport.cleanroom.workspace import Workspace

#: Those whose figures everyone should see move; the others take minutes together.
ALWAYS = (
    ("bert", "onnx"),
    ("resnet", "torch_export"),
    ("lstm", "torch_export"),
    ("gpt2", "torch_export"),
)
CASES = [
    pytest.param(model, target, marks=[] if (model, target) in ALWAYS else [pytest.mark.full])
    for model in varying.MODELS
    for target in varying.TARGETS
]


@pytest.mark.parametrize(("model", "target"), CASES)
def test_a_model_on_a_target(model, target, needs):
    found = registry.target(target)
    needs({**registry.format_(found.format).REQUIRES, **registry.runtime(found.runtime).REQUIRES})
    with Workspace() as workspace:
        verdict = verdict_of(workspace, model, target)
    assert as_known(model, target, verdict), cell(verdict, verdict.seconds)
