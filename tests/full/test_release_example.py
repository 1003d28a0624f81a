"""The example of a release: green as it is, and red for each thing that may happen to it on its way
out.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
pytestmark = pytest.mark.full


class Project:
    """A copy of the example, and the commands of its reader."""

    def __init__(self, folder):
        self.folder = folder
        self.test = folder / "test_what_ships.py"
        leave = ("PYTEST_XDIST_WORKER", "PYTEST_XDIST_WORKER_COUNT", "PYTEST_ADDOPTS")
        self.environment = {key: value for key, value in os.environ.items() if key not in leave} | {
            "PYTHONPATH": str(ROOT)
        }

    def run(self, *command):
        return subprocess.run(
            [sys.executable, "-m", *command],
            cwd=self.folder,
            env=self.environment,
            capture_output=True,
            text=True,
        )

    def release(self, name, baseline="none", *more):
        return self.run(
            "pytest",
            "-q",
            "-p",
            "no:cacheprovider",
            f"--modelport-baseline={baseline}",
            f"--modelport-release={name}",
            *more,
        )

    def gate(self, *arguments):
        done = self.run("pytest_modelport.cli", "gate", *arguments)
        return done.returncode, done.stdout + done.stderr

    def edit(self, old, new):
        text = self.test.read_text()
        assert text.count(old) == 1
        self.test.write_text(text.replace(old, new))


@pytest.fixture(scope="module")
def first(tmp_path_factory):
    """The example with its first release."""
    folder = tmp_path_factory.mktemp("example") / "project"
    shutil.copytree(ROOT / "examples/release", folder)
    done = Project(folder).release("one")
    assert "2 passed" in done.stdout, done.stdout + done.stderr
    return folder


@pytest.fixture
def project(first, tmp_path):
    return Project(Path(shutil.copytree(first, tmp_path / "project")))


def test_it_is_green_and_so_is_the_next_one(project):
    assert project.gate("one") == (0, "gate passed: 2 routes\n")
    done = project.release("two", "one")
    assert "2 passed" in done.stdout, done.stdout
    code, said = project.gate("two", "--baseline", "one")
    assert code == 0, said


def test_a_weight_is_flipped_after_verification(project):
    file = project.folder / "one/test_what_ships.py__test_classifier/onnx-cpu/model.onnx"
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 1
    file.write_bytes(data)
    code, said = project.gate("one")
    assert code == 1
    assert "model.onnx" in said


def test_a_target_disappears(project):
    project.edit('targets=["onnx", "torchscript"]', 'targets=["torchscript"]')
    assert "1 passed" in project.release("two", "one").stdout
    code, said = project.gate("two", "--baseline", "one")
    assert code == 1
    assert "onnx-cpu was in the last release and is missing" in said
    assert "onnx must pass, and no route with it does" in said
    assert project.gate("two")[0] == 1


def test_latency_regresses(project):
    slower = "modelport(Thrice(digits.load('cnn')).eval()"
    project.edit('modelport(digits.load("cnn")', slower)
    project.edit(
        "@pytest.mark.portable(",
        """from torch import nn

class Thrice(nn.Module):
    def __init__(self, net):
        super().__init__()
        self.net = net

    def forward(self, images):
        return (self.net(images) + self.net(images.flip(-1)) + self.net(images.flip(-2))) / 3

@pytest.mark.portable(""",
    )
    done = project.release("two", "one")
    assert "as long as the last release" in done.stdout, done.stdout
    code, said = project.gate("two", "--baseline", "one")
    assert code == 1
    assert "as long as the last release" in said


def test_a_report_is_edited(project):
    report = project.folder / "one/release.json"
    report.write_text(report.read_text().replace("onnx-cpu", "onnx-cuda", 1))
    code, said = project.gate("one")
    assert code == 2
    assert "was edited" in said


def test_a_part_of_the_run_is_missing(project):
    done = project.run(
        "pytest",
        "-q",
        "--modelport-baseline=one",
        "--modelport-shard=1/2",
        "--modelport-report=1.json",
    )
    assert "2 passed" in done.stdout
    assert project.run("pytest_modelport.cli", "merge", "all.json", "1.json").returncode == 1
    code, said = project.gate("all.json")
    assert code == 1
    assert "part 2 of 2 of the run is missing" in said
