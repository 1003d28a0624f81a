"""`modelport upgrade-check` between two installations that are really there."""

from __future__ import annotations

import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

import pytest_modelport
from pytest_modelport.cleanroom.environments import variables
from pytest_modelport.cli.main import main

SUITE = """
import pytest, torch
from torch import nn

@pytest.mark.portable(targets=["torchscript", "onnx(opset=18)", "onnx(opset=24)"])
def test_net(modelport):
    torch.manual_seed(0)
    modelport(nn.Linear(4, 2), torch.ones(3, 4))
"""


@pytest.fixture(scope="module")
def older(tmp_path_factory):
    """An installation with this one's packages, but an older ONNX Runtime."""
    folder = tmp_path_factory.mktemp("older")
    subprocess.run([sys.executable, "-m", "venv", folder], check=True)
    python = folder / "bin" / "python"
    install = [python, "-m", "pip", "install", "-q", "--no-deps", "onnxruntime==1.20.1"]
    subprocess.run(
        install, check=True, env=variables()
    )  # the project's own pins hold for its environments, not for this one
    [site] = folder.glob("lib/python*/site-packages")
    ours = Path(pytest_modelport.__file__).parents[1]
    (site / "shared.pth").write_text(f"{sysconfig.get_paths()['purelib']}\n{ours}\n")
    return python


@pytest.fixture
def suite(tmp_path, monkeypatch):
    (tmp_path / "test_it.py").write_text(SUITE)
    (tmp_path / "pyproject.toml").write_text('[tool.modelport.environments]\nnever = ["six"]\n')
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "140")
    return tmp_path


def test_a_runtime_that_reads_less_is_found_out(older, suite, capsys):
    assert main(["upgrade-check", str(older), "--write", "report.html"]) == 1
    out = capsys.readouterr().out
    assert "-> 1.20.1" in out
    assert "test_it.py::test_net onnx(opset=24)-cpu" in out
    assert "3 routes: 2 same, 1 worse" in out
    page = (suite / "report.html").read_text()
    assert "test_it.py::test_net onnx(opset=24)-cpu: passed, then failed" in page


def test_going_back_is_no_loss(older, suite, capsys):
    assert main(["upgrade-check", sys.executable, "--before", str(older), "-k", "net"]) == 0
    assert "3 routes: 2 same, 1 better" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["nevr"], "unknown environment 'nevr': did you mean 'never'?"),
        (["never"], "environment never is not there: modelport env create never"),
        (["./python"], "no interpreter ./python: give the path"),
        ([sys.executable, "no_such_test.py"], "file or directory not found: no_such_test.py"),
        ([sys.executable, "--write=report.txt"], "report report.txt ends in .txt"),
    ],
)
def test_what_cannot_be_compared_says_why(suite, capsys, arguments, said):
    assert main(["upgrade-check", *arguments]) == 2
    assert said in capsys.readouterr().err


def test_an_installation_without_us_is_named(suite, tmp_path, capsys):
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", tmp_path / "bare"], check=True)
    assert main(["upgrade-check", str(tmp_path / "bare/bin/python")]) == 2
    assert "no pytest-modelport in" in capsys.readouterr().err
