from __future__ import annotations

import pytest
import torch

from pytest_modelport import Route, UsageError
from pytest_modelport.cleanroom.environments import Environment, declared, environment, own, require


def project(folder, text):
    (folder / "pyproject.toml").write_text(text)
    return folder


def test_environments_are_found_from_inside_the_project(tmp_path):
    project(tmp_path, '[tool.modelport.environments]\nprod = ["onnxruntime==1.20.1", "numpy<2"]\n')
    inside = tmp_path / "tests" / "unit"
    inside.mkdir(parents=True)
    assert declared(inside) == {
        **own(),
        "prod": Environment("prod", ("onnxruntime==1.20.1", "numpy<2")),
    }


def test_a_file_that_only_speaks_of_us_does_not_end_the_search(tmp_path):
    project(tmp_path, '[tool.modelport.environments]\nprod = ["numpy"]\n')
    inside = tmp_path / "part"
    inside.mkdir()
    project(inside, "# see tool.modelport above\n[project]\nname = 'part'\n")
    assert declared(inside)["prod"].requirements == ("numpy",)


def test_a_project_that_says_nothing_has_ours(tmp_path):
    assert declared(project(tmp_path, "[project]\nname = 'x'\n")) == own()


def test_a_project_may_pin_one_of_ours(tmp_path):
    project(tmp_path, '[tool.modelport.environments]\nlitert = ["litert-torch==0.9"]\n')
    assert declared(tmp_path)["litert"].requirements == ("litert-torch==0.9",)


def test_a_converter_that_reads_programs_gets_the_torch_that_writes_them():
    assert f"torch=={torch.__version__.partition('+')[0]}" in own()["litert"].requirements


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "[tool.modelport]\nenvironment = 1",
            "unknown key of tool.modelport .*'environment': did you mean 'environments'",
        ),
        ("[tool.modelport]\nenvironments = 1", "is 1: write NAME = "),
        ("[tool.modelport.environments]\nprod = 'onnxruntime'", "give a list of requirements"),
        ("[tool.modelport.environments]\nprod = []", "give a list of requirements"),
        (
            "[tool.modelport.environments]\nprod = ['onnx runtime']",
            "'onnx runtime', which is not a requirement",
        ),
        ("[tool.modelport.environments]\n'a b' = ['numpy']", "a name has letters"),
        ("[tool.modelport.environments\n", "is not TOML"),
    ],
)
def test_what_is_written_wrongly_is_said(tmp_path, text, message):
    with pytest.raises(UsageError, match=message):
        declared(project(tmp_path, text))


def test_equal_requirements_are_one_folder_and_others_another():
    one, two = Environment("p", ("numpy", "onnx")), Environment("p", ("onnx", "numpy"))
    assert one.folder == two.folder != Environment("p", ("onnx",)).folder


def test_an_environment_that_was_cut_off_is_not_there(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    made = Environment("p", ("numpy<2",))
    assert made.packages == {}
    made.folder.mkdir(parents=True)
    (made.folder / "ready.json").write_text('{"num')
    assert made.packages == {}
    assert made.summary == "p: not there"
    made.finish({"NumPy": "1.26.4", "pip": "25"})
    assert made.packages == {"NumPy": "1.26.4", "pip": "25"}
    assert made.summary == "p: numpy 1.26.4"


def test_routes_go_only_through_environments_that_are_declared():
    known = {"prod": Environment("prod", ("numpy",))}
    require([Route("onnx@prod"), Route("onnx")], known)
    with pytest.raises(UsageError, match="unknown environment 'prd': did you mean 'prod'"):
        require([Route("onnx@prd")], known)
    with pytest.raises(
        UsageError,
        match=r"unknown environment 'new': .*; to declare it, in pyproject.toml: .* new = ",
    ):
        environment("new", known)
