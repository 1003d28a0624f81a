from __future__ import annotations

import re
import subprocess
import sys

import numpy as np
import pytest
import torch
from torch import nn

from pytest_modelport import __version__, verify
from pytest_modelport.backends import registry, requirements
from pytest_modelport.cli.main import main
from tests.modules import MODULE


def test_targets_lists_every_target(capsys):
    assert main(["targets"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == list(registry.targets())
    ways = (": pip install 'pytest-modelport[", ": modelport env create ")
    assert all(line.endswith("usable") or any(way in line for way in ways) for line in lines)
    assert next(line for line in lines if line.startswith("torch_export ")).endswith("usable")


def test_targets_says_what_is_missing(capsys, monkeypatch):
    monkeypatch.setattr(
        requirements,
        "missing",
        lambda requires: ("onnxruntime>=1.20",) if "onnxruntime" in requires else (),
    )
    main(["targets"])
    line = next(line for line in capsys.readouterr().out.splitlines() if line.startswith("onnx "))
    assert line.endswith("missing onnxruntime>=1.20: pip install 'pytest-modelport[onnx]'")


def test_show_prints_a_report_and_exits_with_its_colour(capsys, tmp_path):
    class Off(nn.Module):
        def forward(self, x):
            return x + float(torch.jit.is_tracing())

    for model, code in ((nn.Identity(), 0), (Off(), 1)):
        path = tmp_path / "report.json"
        path.write_text(
            verify(
                model, torch.ones(2), targets=["torchscript"], workdir=tmp_path / "work"
            ).to_json()
        )
        assert main(["show", str(path)]) == code
        assert "torchscript-cpu" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("content", "message"),
    [(None, "cannot be read"), ("{}", "report schema None"), ("no", "not a Modelport report")],
)
def test_what_is_no_report_is_refused(capsys, tmp_path, content, message):
    path = tmp_path / "report.json"
    if content is not None:
        path.write_text(content)
    assert main(["show", str(path)]) == 2
    assert message in capsys.readouterr().err


def test_the_console_script_is_installed():
    done = subprocess.run(
        [sys.executable, "-c", "from pytest_modelport.cli import main; main(['--version'])"],
        capture_output=True,
        text=True,
    )
    assert done.stdout.strip() == f"pytest-modelport {__version__}"


@pytest.fixture
def here(tmp_path, monkeypatch):
    """A folder with a module of models, to work in."""
    (tmp_path / "models_of_cli.py").write_text(MODULE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    return tmp_path


def test_verify_proves_a_model_and_writes_a_report(here, capsys):
    assert (
        main(
            [
                "verify",
                "models_of_cli:linear",
                "--targets",
                "torchscript,state_dict",
                "--json",
                "r.json",
            ]
        )
        == 0
    )
    assert "2 routes: 2 passed" in capsys.readouterr().out
    assert main(["show", "r.json"]) == 0


def test_verify_says_what_is_wrong_and_how_to_repeat_it(here, capsys):
    assert main(["verify", "models_of_cli:branch", "--targets", "torch_export,torchscript"]) == 1
    printed = capsys.readouterr().out
    assert printed.startswith("cannot export: GuardOnDataDependentSymNode")
    assert "rerun      modelport verify models_of_cli:branch --targets torch_export" in printed
    assert "2 routes: 1 unsupported, 1 failed" in printed


def test_dims_that_the_model_lets_vary_are_varied_when_asked(here, capsys):
    assert main(["verify", "models_of_cli:linear", "--targets", "torchscript", "--dynamic"]) == 0
    capsys.readouterr()
    assert main(["verify", "models_of_cli:branch", "--targets", "torchscript", "--dynamic"]) == 1
    printed = capsys.readouterr().out
    assert printed.startswith("fails when x is ")
    line = re.search("modelport replay models_of_cli:branch '(.*)' --targets torchscript", printed)
    assert line
    assert main(["replay", "models_of_cli:branch", line[1], "--targets", "torchscript"]) == 1
    assert capsys.readouterr().out.partition("\n")[0] == printed.partition("\n")[0]
    assert (
        main(
            [
                "replay",
                "models_of_cli:linear",
                '{"input:kind": "zeros"}',
                "--targets",
                "torchscript",
            ]
        )
        == 0
    )
    assert main(["replay", "models_of_cli:linear", "{", "--targets", "torchscript"]) == 2
    assert "(inferred)" in printed


def test_init_writes_a_test_that_passes(here, capsys):
    assert main(["init", "models_of_cli:linear", "--targets", "torchscript,onnx(opset=20)"]) == 0
    assert "run it with: pytest test_linear.py" in capsys.readouterr().out
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "test_linear.py"],
        cwd=here,
        capture_output=True,
        text=True,
    )
    assert "2 passed" in done.stdout, done.stdout
    assert main(["init", "models_of_cli:linear"]) == 2
    assert "test_linear.py is there already" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["verify", "models_of_cli:liner"],
            "unknown name in models_of_cli 'liner': did you mean 'linear'",
        ),
        (
            ["verify", "models_of_cli:linear", "--targets", "onxx"],
            "unknown target 'onxx': did you mean 'onnx'",
        ),
        (
            [
                "verify",
                "models_of_cli:linear",
                "--json",
                "nowhere/r.json",
                "--targets",
                "state_dict",
            ],
            "cannot be written",
        ),
        (
            ["init", "models_of_cli:linear", "--output", "nowhere/test_x.py"],
            "cannot be written: No such file",
        ),
        (["init", "torch.nn:Identity"], "no inputs for Identity"),
    ],
)
def test_bad_requests_are_one_line_and_exit_2(here, capsys, arguments, message):
    assert main(arguments) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1


NET = """
import torch
from torch import nn

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.linear = nn.Linear(3, 2)

    def forward(self, x, mask):
        return self.linear(x) * mask

def make(): return Net().eval()
"""


@pytest.fixture
def net(here, monkeypatch):
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.delitem(sys.modules, "net_of_cli", raising=False)  # another test's file
    (here / "net_of_cli.py").write_text(NET)
    return ["verify", "./net_of_cli.py:make", "--targets", "torchscript"]


@pytest.mark.parametrize(
    "said",
    [
        ["2x3", "2x2:int64"],
        ["2x3", "mask=2x2"],
        ["x=2x3:float32", "mask=scalar:bool"],
        ["x=x.npy", "mask=2x2"],
    ],
)
def test_inputs_may_be_said_on_the_command_line(here, net, capsys, said):
    np.save(here / "x.npy", np.ones((2, 3), np.float32))
    arguments = [word for text in said for word in ("--input", text)]
    assert main([*net, *arguments]) == 0, capsys.readouterr().out


@pytest.mark.parametrize(
    ("said", "message"),
    [
        (["2x3:float3"], "unknown dtype of an input 'float3': did you mean 'float32'"),
        (["2*3"], "'2*3' is neither a shape"),
        (["x=a.npy"], "a.npy cannot be read"),
        (["x=2x3", "2x2"], "has no name and comes after one that has"),
        (["my x=2x3"], "'my x' is no name of an argument"),
    ],
)
def test_inputs_that_make_no_sense_are_told(net, capsys, said, message):
    assert main([*net, *(word for text in said for word in ("--input", text))]) == 2
    assert message in capsys.readouterr().err


def test_a_file_is_proven_and_the_line_to_repeat_it_has_everything(here, net, capsys):
    with pytest.warns(DeprecationWarning, match="torch.jit"):
        model = torch.jit.trace(torch.nn.Linear(3, 2), torch.ones(2, 3))
    with pytest.warns(DeprecationWarning, match="torch.jit"):
        torch.jit.save(model, here / "another.pt")
    said = [
        "--input",
        "x=2x3",
        "--input",
        "mask=2x2",
        "--artifact",
        "another.pt",
        "--rtol",
        "0.001",
        "--atol",
        "0.001",
    ]
    assert main([*net, *said, "--checks", "parity"]) == 1
    printed = capsys.readouterr().out
    line = next(line for line in printed.splitlines() if line.startswith("  rerun"))
    assert line.split(maxsplit=1)[1] == (
        "modelport verify ./net_of_cli.py:make --targets torchscript --input x=2x3 "
        "--input mask=2x2 --rtol 0.001 --atol 0.001 --artifact another.pt --checks parity"
    )


def test_a_folder_that_somebody_saved_is_proven_by_its_name(here, capsys):
    from pytest_modelport.engine.load_model import load

    load("transformers:BertForSequenceClassification?tiny").module.save_pretrained("my-finetuned")
    assert main(["verify", "./my-finetuned", "--targets", "torch_export"]) == 0
    assert "BertForSequenceClassification" in capsys.readouterr().out
    assert main(["init", "./my-finetuned"]) == 0
    assert "modelport('./my-finetuned')" in (here / "test_my_finetuned.py").read_text()
