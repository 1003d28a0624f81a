from __future__ import annotations

import json

import pytest

from pytest_modelport.core import artifact
from pytest_modelport.core.artifact import CorruptArtifact, Manifest, TensorSpec


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "model.onnx").write_bytes(b"weights")
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "more.data").write_bytes(b"data")
    values = (TensorSpec("x", "float32", ("batch", 3, None)), TensorSpec("mask", "bool"))
    manifest = Manifest(
        "onnx",
        "onnx",
        "model.onnx",
        "named",
        values,
        values[:1],
        {"n": 3},
        {},
        {"batch": (1, None)},
        {"torch": "2"},
    )
    artifact.seal(tmp_path, manifest)
    return tmp_path


def test_a_sealed_folder_loads_as_it_was(folder):
    loaded = artifact.load(folder)
    assert loaded.manifest.inputs[0] == TensorSpec("x", "float32", ("batch", 3, None))
    assert loaded.manifest.inputs[1].shape is None
    assert set(loaded.manifest.files) == {"model.onnx", "sub/more.data"}
    assert loaded.size == 11
    assert json.loads((folder / "manifest.json").read_text())["schema"] == 1


def test_what_opening_it_set_is_noted(folder):
    made = artifact.load(folder)
    made.opened("onnx-cpu", {"threads": 1})
    made.opened("onnx(optimization=basic)-cpu", {"threads": 2})
    assert artifact.load(folder).manifest.sessions == {
        "onnx-cpu": {"threads": 1},
        "onnx(optimization=basic)-cpu": {"threads": 2},
    }


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (
            lambda f: (f / "model.onnx").write_bytes(b"Weights"),
            "model.onnx is not the file that was exported",
        ),
        (lambda f: (f / "sub" / "more.data").unlink(), "sub/more.data is missing"),
        (lambda f: (f / "extra").write_text(""), "extra is not in the manifest"),
        (lambda f: (f / "manifest.json").unlink(), "no readable manifest"),
        (lambda f: (f / "manifest.json").write_text("{"), "no readable manifest"),
        (lambda f: (f / "manifest.json").write_text('{"schema": 9}'), "manifest schema 9"),
        (lambda f: (f / "manifest.json").write_text('{"schema": 1}'), "manifest is not complete"),
    ],
)
def test_damage_is_noticed(folder, damage, message):
    damage(folder)
    with pytest.raises(CorruptArtifact, match=message):
        artifact.load(folder)


def test_a_manifest_is_replaced_whole_or_not_at_all(folder, monkeypatch):
    before = (folder / "manifest.json").read_text()
    monkeypatch.setattr(json, "dump", lambda *_, **__: (_ for _ in ()).throw(OSError("disk full")))
    with pytest.raises(OSError, match="disk full"):
        artifact.load(folder).opened("x", {})
    assert (folder / "manifest.json").read_text() == before
    assert sorted(path.name for path in folder.iterdir()) == ["manifest.json", "model.onnx", "sub"]
