"""ONNX Runtime's GPU build where there is no GPU: it falls back to the processor and only logs it.
The port must not.
"""

from __future__ import annotations

import pytest
import torch

from fixtures import deployment
from pytest_modelport.backends.session_options import SessionOptions
from pytest_modelport.cleanroom import install
from pytest_modelport.cleanroom.environments import Environment, own
from pytest_modelport.cleanroom.room import RoomEnded
from pytest_modelport.cleanroom.workspace import Workspace
from pytest_modelport.engine.build_case import build_case
from pytest_modelport.engine.resolve import routes_of
from pytest_modelport.isolation.jobs import Raised
from pytest_modelport.workbench.workbench import Workbench


@pytest.fixture(scope="module")
def workspace(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        made = Environment("gpu", ("onnxruntime-gpu>=1.24",))
        install.create(made, print)
        with Workspace(
            tmp_path_factory.mktemp("work"), environments={**own(), "gpu": made}
        ) as room:
            yield room


@pytest.mark.full
@pytest.mark.skipif(torch.cuda.is_available(), reason="a GPU is here: nothing falls back")
@pytest.mark.parametrize("runtime", ["onnxruntime", "onnxruntime_tensorrt"])
def test_a_gpu_build_that_fell_back_to_the_processor_is_refused(workspace, runtime):
    model, example, _ = deployment.case("cnn")
    case = build_case(model, example, name="cnn")
    artifact = Workbench(case, routes_of(["onnx"], ["none"], ["cpu"])[0], workspace).artifact
    room = workspace.room(1, "gpu")
    with room.open("onnxruntime", artifact.folder, SessionOptions("cpu"), 60) as session:
        assert session.options["provider"] == "CPUExecutionProvider"
    with (
        pytest.raises(RoomEnded) as ended,
        room.open(runtime, artifact.folder, SessionOptions("cuda"), 60),
    ):
        pass
    assert isinstance(ended.value.ending, Raised)
    assert (
        "was asked for and ONNX Runtime fell back to CPUExecutionProvider"
        in ended.value.ending.cause.headline
    )
