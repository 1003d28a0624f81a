"""`onnx:torch`, in an environment whose torchvision is a stand-in: the real one may not import
beside a CPU build of torch.
"""

from __future__ import annotations

import subprocess
from dataclasses import replace

import pytest
import torch

from fixtures import deployment
from pytest_modelport.cleanroom import install
from pytest_modelport.cleanroom.environments import Environment, own
from pytest_modelport.cleanroom.workspace import Workspace
from pytest_modelport.core.verdict import worst
from pytest_modelport.engine import pipeline
from pytest_modelport.engine.build_case import build_case
from pytest_modelport.engine.resolve import routes_of
from pytest_modelport.request.options import Options

#: All that onnx2torch needs of it, at import and for two operators.
STAND_IN = """
def roi_align(*args):
    raise NotImplementedError("stand-in")
"""
#: (model, target) -> outcome, stage, words. onnx2torch knows the operators of the older exporter,
#: without LSTM.
KNOWN = {
    ("cnn", "onnx_legacy(opset=14):torch"): ("passed", "compare", ""),
    ("encoder", "onnx_legacy(opset=14):torch"): ("passed", "compare", ""),
    ("lstm", "onnx_legacy(opset=14):torch"): ("failed", "open", "Converter is not implemented"),
    ("wide", "onnx_legacy(opset=14):torch"): ("passed", "compare", ""),
    ("cnn", "onnx:torch"): ("failed", "open", "Converter is not implemented"),
}


@pytest.fixture(scope="module")
def workspace(tmp_path_factory):
    """Routes through an environment of our own making."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        made = Environment("onnx2torch", (f"torch=={torch.__version__.partition('+')[0]}", "onnx"))
        install.create(made, print)
        subprocess.run(
            [made.python, "-m", "pip", "install", "-q", "--no-deps", "onnx2torch"], check=True
        )
        package = next(made.folder.glob("lib/*/site-packages")) / "torchvision"
        package.mkdir()
        (package / "__init__.py").write_text("from torchvision import ops\n")
        (package / "ops.py").write_text(STAND_IN)
        with Workspace(
            tmp_path_factory.mktemp("work"), environments={**own(), "onnx2torch": made}
        ) as room:
            yield room


@pytest.mark.full
@pytest.mark.parametrize(("name", "target"), KNOWN)
def test_what_becomes_of_a_model_is_what_is_known(workspace, name, target):
    model, example, other = deployment.case(name)
    case = build_case(
        model, example, options=Options(samples=[other], dynamic_shapes=deployment.shapes())
    )
    verdict = worst(
        pipeline.prove(
            workspace,
            replace(case, name=name),
            routes_of([target], ["none"], ["cpu"])[0],
            ["parity"],
        )
    )
    outcome, stage, words = KNOWN[name, target]
    assert (str(verdict.outcome), str(verdict.stage)) == (outcome, stage), verdict
    assert words in verdict.reason
