from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from pytest_modelport import __version__
from pytest_modelport.backends import registry, requirements
from pytest_modelport.cli import doctor
from pytest_modelport.cli.main import main

DOCS = Path(__file__).parents[3] / "docs"


def test_the_page_about_targets_is_what_the_shelves_say(capsys):
    assert main(["targets", "--markdown"]) == 0
    assert capsys.readouterr().out == (DOCS / "reference/targets.md").read_text()


@pytest.mark.full
def test_what_is_installed_and_imports_is_usable():
    found = {(item.kind, item.name): item for item in doctor.examine()}
    assert {name for kind, name in found if kind == "format"} == set(registry.names("formats"))
    assert {name for kind, name in found if kind == "runtime"} == set(registry.names("runtimes"))
    assert found["format", "torch_export"].state == "usable"
    assert found["format", "torch_export"].said.startswith("torch 2.")
    import onnxruntime

    built = "TensorrtExecutionProvider" in onnxruntime.get_available_providers()
    tensorrt = found["runtime", "onnxruntime_tensorrt"]
    assert tensorrt.state == ("usable" if built else "lacks"), (
        tensorrt
    )  # imports everywhere, and does not run everywhere


@pytest.fixture
def broken(tmp_path, monkeypatch):
    """A package that is installed and does not import."""
    (tmp_path / "brokenruntime.py").write_text(
        "raise ImportError('libcudart.so.13: cannot open shared object file')"
    )
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))

    class Runtime:
        """Opens nothing."""

        REQUIRES = {"brokenruntime": "brokenruntime>=1"}
        DEVICES = ("cpu",)
        OPENS = ("onnx",)
        EXTRA = ""

    monkeypatch.setattr(registry, "sound", lambda group: ("sick",) if group == "runtimes" else ())
    monkeypatch.setattr(registry, "broken", lambda group: ())
    monkeypatch.setattr(registry, "runtime", lambda name: Runtime)
    monkeypatch.setattr(doctor.shutil, "which", lambda name: None)


def test_what_is_installed_and_does_not_import_is_broken_and_says_why(broken, capsys):
    assert main(["doctor"]) == 1
    out = capsys.readouterr().out
    assert "sick" in out
    assert "broken" in out
    assert "brokenruntime does not import: ImportError: libcudart.so.13" in out


def test_what_is_not_installed_comes_with_the_command(broken, monkeypatch, capsys):
    runtime = type("Runtime", (), {"REQUIRES": {"nowhere_at_all": "nowhere>=1"}, "EXTRA": "tract"})
    monkeypatch.setattr(registry, "runtime", lambda name: runtime)
    assert main(["doctor"]) == 0
    assert "missing  pip install 'pytest-modelport[tract]'" in capsys.readouterr().out


def test_the_command_names_the_extras_of_what_is_missing():
    there = type("There", (), {"REQUIRES": {"numpy": "numpy"}, "EXTRA": "onnx"})
    gone = type("Gone", (), {"REQUIRES": {"nowhere_at_all": "nowhere>=1"}, "EXTRA": "iree"})
    assert requirements.lacking(there, gone) == (
        "nowhere>=1",
        "pip install 'pytest-modelport[iree]'",
    )
    assert requirements.lacking(there) == ("", "")


def test_what_is_broken_of_other_packages_is_listed(monkeypatch, capsys):
    sick = registry.Broken("checks", "twice", "check twice of package toyport: DEFAULT is missing")
    monkeypatch.setattr(registry, "sound", lambda group: ())
    monkeypatch.setattr(registry, "broken", lambda group: [sick] if group == "checks" else [])
    monkeypatch.setattr(doctor.shutil, "which", lambda name: None)
    assert main(["doctor"]) == 1
    said = " ".join(capsys.readouterr().out.split())
    assert said == "check twice broken check twice of package toyport: DEFAULT is missing"


def test_a_command_of_another_package_on_the_path_is_said(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(registry, "sound", lambda group: ())
    monkeypatch.setattr(registry, "broken", lambda group: ())
    command = tmp_path / "modelport"
    command.write_text("#!/bin/sh\nexec other-modelport\n")
    command.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert main(["doctor"]) == 1
    out = capsys.readouterr().out
    assert f"{command} on the PATH is not pytest-modelport's: use python -m pytest_modelport" in out
    command.write_text("#!/usr/bin/python\nfrom pytest_modelport.cli import main\n")
    assert main(["doctor"]) == 0


def test_the_package_itself_is_the_command():
    version = [sys.executable, "-m", "pytest_modelport", "--version"]
    done = subprocess.run(version, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == f"pytest-modelport {__version__}"
