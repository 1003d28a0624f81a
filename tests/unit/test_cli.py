from __future__ import annotations

import subprocess
import sys

import pytest
import torch
from torch import nn

from pytest_modelport import __version__, shelf, verify
from pytest_modelport.cli import main


def test_targets_lists_every_target(capsys):
    assert main(["targets"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == list(shelf.targets())
    assert all(line.endswith("usable") for line in lines)


def test_targets_says_what_is_missing(capsys, monkeypatch):
    monkeypatch.setattr(shelf, "missing", lambda requires: ("onnxruntime>=1.20",) if "onnxruntime" in requires else ())
    main(["targets"])
    line = next(line for line in capsys.readouterr().out.splitlines() if line.startswith("onnx "))
    assert line.endswith("missing onnxruntime>=1.20: pip install 'pytest-modelport[onnx]'")


def test_show_prints_a_report_and_exits_with_its_colour(capsys, tmp_path):
    class Off(nn.Module):
        def forward(self, x):
            return x + float(torch.jit.is_tracing())

    for model, code in ((nn.Identity(), 0), (Off(), 1)):
        path = tmp_path / "report.json"
        path.write_text(verify(model, torch.ones(2), targets=["torchscript"], workdir=tmp_path / "work").to_json())
        assert main(["show", str(path)]) == code
        assert "torchscript-cpu" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("content", "message"), [(None, "cannot be read"), ("{}", "report schema None"), ("no", "not a Modelport report")]
)
def test_what_is_no_report_is_refused(capsys, tmp_path, content, message):
    path = tmp_path / "report.json"
    if content is not None:
        path.write_text(content)
    assert main(["show", str(path)]) == 2
    assert message in capsys.readouterr().err


def test_the_console_script_is_installed():
    done = subprocess.run(
        [sys.executable, "-c", "from pytest_modelport.cli import main; main(['--version'])"], capture_output=True, text=True
    )
    assert done.stdout.strip() == f"pytest-modelport {__version__}"
