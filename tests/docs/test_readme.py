"""What README.md shows is what happens: every code block is run."""

from __future__ import annotations

import configparser
import re
import shlex
import subprocess
import sys

import pytest

from tests.docs.pages import ROOT, assert_shown, blocks, run

if sys.version_info >= (3, 11):
    import tomllib
else:
    tomllib = pytest.importorskip("tomli")

README = ROOT / "README.md"
PYTHON = blocks(README, "python")


@pytest.mark.parametrize(
    "block",
    [block for block in PYTHON if block.is_test],
    ids=lambda block: re.findall(r"(?:def test_|class Test)(\w+)", block.text)[0],
)
def test_a_test_file(block, tmp_path):
    run([block], tmp_path)


@pytest.mark.parametrize(
    "block", [block for block in blocks(README, "console") if block.text.startswith("$ modelport")], ids=["verify"]
)
def test_a_command(block, tmp_path):
    command = shlex.split(block.text.splitlines()[0].removeprefix("$ "))
    run = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stdout + run.stderr
    assert_shown(block.text, run.stdout)


def test_the_environment_is_one_that_modelport_reads(tmp_path):
    from pytest_modelport.environments import declared

    block, _ = blocks(README, "toml")
    (tmp_path / "pyproject.toml").write_text(block.text)
    assert declared(tmp_path)["production"].requirements == ("onnxruntime==1.20.1", "numpy<2")


def test_the_policy_is_one_that_modelport_reads(tmp_path):
    from pytest_modelport.environments import configured
    from pytest_modelport.gate import policy_of

    _, block = blocks(README, "toml")
    (tmp_path / "pyproject.toml").write_text(block.text)
    policy = policy_of(configured(tmp_path)["gate"])
    assert policy.require == ("onnx",)
    assert policy.may_fail[0].routes == "tvm*"


def test_the_gates_commands(tmp_path):
    (block,) = [block for block in blocks(README, "console") if "modelport gate" in block.text]
    suite = "import pytest, torch\n@pytest.mark.portable(targets=['torchscript'])\ndef test_net(modelport):\n"
    (tmp_path / "test_net.py").write_text(suite + "    modelport(torch.nn.ReLU(), torch.ones(3))\n")
    for line in block.text.splitlines():
        command = shlex.split(line.removeprefix("$ "))
        run = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
        assert run.returncode == 0, run.stdout + run.stderr
    assert (tmp_path / "report.html").exists()


@pytest.mark.parametrize("block", [block for block in PYTHON if not block.is_test], ids=lambda block: block.text[:20].strip())
def test_a_program(block, tmp_path):
    run = subprocess.run([sys.executable, "-c", block.text], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    assert run.stdout.strip(), "it shows nothing"


def test_commands_name_what_is_there():
    tox = configparser.ConfigParser()
    tox.read(ROOT / "tox.ini")
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    commands = [line[2:] for block in blocks(README, "console") for line in block.text.splitlines() if line.startswith("$ ")]
    environments = {name for command in commands for name in re.findall(r"tox -e (\w+)", command)}
    assert environments == {"demo", "test"}
    assert environments - {"test"} <= {section.partition(":")[2] for section in tox.sections()}
    assert {name for command in commands for name in re.findall(r"pytest-modelport\[(\w+)\]", command)} <= extras.keys()
    assert {command.split()[0] for command in commands} <= {"pip", "python", "pytest", "modelport"}


def test_ci_runs_the_second_command():
    assert "python -m pip install -q tox && python -m tox -e test" in (ROOT / ".ci" / "run").read_text()


@pytest.mark.parametrize("page", ["README.md", "ARCHITECTURE.md", "CONTRIBUTING.md"])
def test_links_lead_somewhere(page):
    for link in re.findall(r"\]\(([^)#]+)\)", (ROOT / page).read_text()):
        assert link.startswith("https://") or (ROOT / link).exists(), link
