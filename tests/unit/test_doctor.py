from __future__ import annotations

from pathlib import Path

import pytest

from pytest_modelport import doctor, shelf
from pytest_modelport.cli import main

DOCS = Path(__file__).parents[2] / "docs"


def test_the_page_about_targets_is_what_the_shelves_say(capsys):
    assert main(["targets", "--markdown"]) == 0
    assert capsys.readouterr().out == (DOCS / "reference/targets.md").read_text()


def test_what_is_installed_and_imports_is_usable():
    found = {(item.shelf, item.name): item for item in doctor.examine()}
    assert {name for kind, name in found if kind == "format"} == set(shelf.names("formats"))
    assert {name for kind, name in found if kind == "runtime"} == set(shelf.names("runtimes"))
    assert found["format", "torch_export"].state == "usable"
    assert found["format", "torch_export"].said.startswith("torch 2.")
    import onnxruntime

    built = "TensorrtExecutionProvider" in onnxruntime.get_available_providers()
    tensorrt = found["runtime", "onnxruntime_tensorrt"]
    assert tensorrt.state == ("usable" if built else "lacks"), tensorrt  # imports everywhere, and does not run everywhere


@pytest.fixture
def broken(tmp_path, monkeypatch):
    """A package that is installed and does not import."""
    (tmp_path / "brokenruntime.py").write_text("raise ImportError('libcudart.so.13: cannot open shared object file')")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))

    class Runtime:
        """Opens nothing."""

        REQUIRES = {"brokenruntime": "brokenruntime>=1"}
        DEVICES = ("cpu",)
        OPENS = ("onnx",)
        EXTRA = ""

    monkeypatch.setattr(shelf, "names", lambda kind: ("sick",) if kind == "runtimes" else ())
    monkeypatch.setattr(shelf, "runtime", lambda name: Runtime)


def test_what_is_installed_and_does_not_import_is_broken_and_says_why(broken, capsys):
    assert main(["doctor"]) == 1
    out = capsys.readouterr().out
    assert "sick" in out
    assert "broken" in out
    assert "brokenruntime does not import: ImportError: libcudart.so.13" in out


def test_what_is_not_installed_comes_with_the_command(broken, monkeypatch, capsys):
    runtime = type("Runtime", (), {"REQUIRES": {"nowhere_at_all": "nowhere>=1"}, "EXTRA": "tract"})
    monkeypatch.setattr(shelf, "runtime", lambda name: runtime)
    assert main(["doctor"]) == 0
    assert "missing  pip install 'pytest-modelport[tract]'" in capsys.readouterr().out


def test_the_command_names_the_extras_of_what_is_missing():
    there = type("There", (), {"REQUIRES": {"numpy": "numpy"}, "EXTRA": "onnx"})
    gone = type("Gone", (), {"REQUIRES": {"nowhere_at_all": "nowhere>=1"}, "EXTRA": "iree"})
    assert shelf.lacking(there, gone) == ("nowhere>=1", "pip install 'pytest-modelport[iree]'")
    assert shelf.lacking(there) == ("", "")
