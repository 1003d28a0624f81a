"""A clean room with a runtime whose artifacts are Python source, so that a test can have it do
anything.
"""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from pytest_modelport.backends.session_options import SessionOptions
from pytest_modelport.cleanroom.room import Room
from pytest_modelport.core.artifact import Manifest, TensorSpec, seal
from pytest_modelport.core.feed import Feed
from pytest_modelport.core.tensors import to_array

#: A runtime made of Python source: the artifact is code that the room runs. Only tests do such a
#: thing.
SCRIPTED = """
from pytest_modelport.core.feed import Answer
from pytest_modelport.core.arrays import Array
REQUIRES, DEVICES, OPENS, EXTRA = {}, ("cpu",), ("script",), ""
class Session:
    options = {"scripted": True}
    def __init__(self, code):
        self.code = code
    def run(self, feed):
        scope = {"feed": feed, "Array": Array}
        exec(self.code, scope)
        return Answer(tuple(scope.get("outputs", [("output", feed.inputs["x"])])))
def open(folder, manifest, session_options):
    return Session((folder / manifest.entry).read_text())
"""


@pytest.fixture
def room(tmp_path, monkeypatch):
    """A room whose process knows the runtime `scripted`."""
    package = tmp_path / "site" / "scripted_runtime"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text(SCRIPTED)
    info = tmp_path / "site" / "scripted_runtime-1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: scripted-runtime\nVersion: 1\n")
    (info / "entry_points.txt").write_text(
        "[pytest_modelport.runtimes]\nscripted = scripted_runtime\n"
    )
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "site"))
    made = Room(tmp_path)
    yield made
    made.close()


def artifact(tmp_path: Path, code: str) -> Path:
    folder = tmp_path / f"artifact-{len(list(tmp_path.iterdir()))}"
    folder.mkdir()
    (folder / "code.py").write_text(code)
    value = (TensorSpec("x", "float32"),)
    return seal(
        folder,
        Manifest("script", "script", "code.py", "named", value, (TensorSpec("output", "float32"),)),
    ).folder


FEED = Feed({"x": to_array(torch.arange(3.0))}, ["tuple", []])


def answer(room: Room, folder: Path, timeout: float = 20):
    with room.open("scripted", folder, SessionOptions(), timeout) as session:
        return session.run(FEED, 0)
