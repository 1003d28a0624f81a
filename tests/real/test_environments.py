"""Environments that are really installed, from the package index."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from torch import nn

from pytest_modelport import Outcome, Stage, verify
from pytest_modelport.cleanroom import install
from pytest_modelport.cleanroom.environments import Environment, declared
from tests.processes import gone

PROJECT = """
[tool.modelport.environments]
production = ["onnxruntime==1.20.1", "numpy<2"]
empty = ["numpy<2"]
later = ["six"]
"""


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """A project with an environment that is pinned to an older ONNX Runtime, installed by the
    documented command.
    """
    folder = tmp_path_factory.mktemp("project")
    (folder / "pyproject.toml").write_text(PROJECT)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(folder / "cache"))
        patch.chdir(folder)
        assert command(folder, "create", "production", "empty").returncode == 0
        yield folder


def command(folder, *arguments, **options):
    return subprocess.run(
        [sys.executable, "-m", "pytest_modelport.cli", "env", *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        **options,
    )


def proven(*targets):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 8), nn.GELU(), nn.Linear(8, 2)).eval()
    return verify(model, torch.randn(2, 4), targets=targets).verdicts


def test_a_route_runs_on_the_pinned_version(project):
    verdict = proven("onnx@production")[0]
    assert verdict.passed, verdict
    assert verdict.route.id == "onnx@production-cpu"
    assert verdict.evidence["environment"] == "production: onnxruntime 1.20.1, numpy 1.26.4"


#: Read by an environment's interpreter before anything else: its ONNX Runtime adds one to every
#: answer.
WRONG = """
import sys
from importlib import abc, util

class Finder(abc.MetaPathFinder, abc.Loader):
    looking = False  # it may be looked for, to see whether it is there, before it is imported

    def find_spec(self, name, path, target=None):
        if name != "onnxruntime" or self.looking:
            return None
        self.looking = True
        try:
            spec = util.find_spec(name)
        finally:
            self.looking = False
        run = spec.loader.exec_module
        def exec_module(module):
            run(module)
            class Session(module.InferenceSession):
                def run(self, *args):
                    return [value + 1 for value in super().run(*args)]
            module.InferenceSession = Session
        spec.loader.exec_module = exec_module
        return spec

sys.meta_path.insert(0, Finder())
"""


def test_a_version_that_is_wrong_where_another_is_right_is_blamed(project):
    made = declared(project)["production"]
    site = next(made.folder.glob("lib/*/site-packages")) / "sitecustomize.py"
    site.write_text(WRONG)
    try:
        verdict = proven("onnx@production")[0]
    finally:
        site.unlink()
    assert verdict.outcome is Outcome.FAILED
    assert verdict.evidence["blame"].startswith(
        "the environment: onnxruntime gives the right answer from the same file"
    )


def test_what_the_old_version_cannot_load_is_red_and_says_why(project):
    assert proven("onnx(opset=23)")[0].passed
    old = proven("onnx(opset=23)@production")[0]
    assert (old.outcome, old.stage) == (Outcome.FAILED, Stage.OPEN)
    assert "Opset 23 is under development" in old.reason


def test_an_environment_without_the_runtime_is_an_error_that_says_what_to_add(project):
    verdict = proven("onnx@empty")[0]
    assert verdict.outcome is Outcome.ERROR
    assert verdict.reason.startswith("environment empty lacks onnxruntime")


def test_one_that_is_not_installed_is_skipped_with_the_command(project):
    verdict = proven("onnx@later")[0]
    assert verdict.outcome is Outcome.SKIPPED
    assert verdict.reason == "environment later is not there: modelport env create later"


def test_the_command_line_lists_checks_and_removes(project):
    assert "production  ready" in command(project, "list").stdout
    assert command(project, "create", "production").stdout.startswith(
        "environment production is there"
    )
    assert command(project, "check", "production").stdout == "environment production: sound\n"
    missing = command(project, "check", "later")
    assert (missing.returncode, missing.stdout) == (
        1,
        "environment later: not there: modelport env create later\n",
    )
    assert command(project, "check", "prodction").returncode == 2


def test_what_changed_since_it_was_made_is_seen(project):
    made = declared(project)["empty"]
    found = next(made.folder.glob("lib/*/site-packages/numpy-*.dist-info"))
    hidden = found.rename(found.with_name("hidden"))
    try:
        assert install.check(made) == "changed since it was made: numpy"
    finally:
        hidden.rename(found)
    assert install.check(made) == ""


def test_a_killed_installation_is_continued(project, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    made = Environment("later", ("six",))
    first = subprocess.Popen(
        [sys.executable, "-m", "pytest_modelport.cli", "env", "create", "later"],
        cwd=project,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    deadline = time.monotonic() + 60
    while not made.python.exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    os.killpg(first.pid, signal.SIGKILL)
    first.wait()
    assert gone(first.pid)
    assert made.packages == {}
    said: list[str] = []
    install.create(made, said.append)
    assert made.packages["six"]
    assert install.remove(made)
    assert not made.folder.exists()
    assert not install.remove(made)


def test_what_the_index_does_not_have_ends_with_the_installers_own_word(project):
    wanted = Environment("none", ("modelport-has-no-such-package==1",))
    with pytest.raises(
        install.CannotInstall, match="environment none cannot be made: .* ended with 1"
    ):
        install.create(wanted, lambda _: None)
    assert Path(wanted.python).exists()
    assert wanted.packages == {}


TIMED = """
import pytest, torch
from torch import nn

@pytest.mark.portable(targets=["onnx(opset=18)"], latency={"max_regression": "90%"})
def test_net(modelport):
    torch.manual_seed(0)
    modelport(nn.Sequential(*[nn.Linear(256, 256) for _ in range(20)]).eval(), torch.ones(32, 256))
"""


def test_the_last_release_is_timed_in_the_environment_it_was_served_in(project):
    """So that a runtime's own regression is seen, which both artifacts share."""
    (project / "test_timed.py").write_text(TIMED)
    leave = ("PYTEST_XDIST_WORKER", "PYTEST_XDIST_WORKER_COUNT", "PYTEST_ADDOPTS")
    environment = {key: value for key, value in os.environ.items() if key not in leave} | {
        "COLUMNS": "200"
    }

    def run(*options):
        command = [
            sys.executable,
            "-m",
            "pytest",
            "-q",
            "-rs",
            "-p",
            "no:cacheprovider",
            *options,
            "test_timed.py",
        ]
        return subprocess.run(command, cwd=project, env=environment, capture_output=True, text=True)

    first = run("--modelport-baseline=none", "--modelport-release=first")
    assert "1 passed" in first.stdout, first.stdout
    second = run("--modelport-baseline=first@production")
    assert "as long as the last release in production (" in second.stdout, second.stdout
    absent = run("--modelport-baseline=first@later")
    assert "environment later is not there: modelport env create later" in absent.stdout, (
        absent.stdout
    )
    assert "unknown environment 'sometime'" in run("--modelport-baseline=first@sometime").stderr
    assert "no release in second" in run("--modelport-baseline=second@production").stderr
