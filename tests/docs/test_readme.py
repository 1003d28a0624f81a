"""What README.md shows is what happens: every code block is run."""

from __future__ import annotations

import configparser
import re
import sys

import pytest

from tests.docs.pages import ROOT, blocks, command, run

if sys.version_info >= (3, 11):
    import tomllib
else:
    tomllib = pytest.importorskip("tomli")

README = ROOT / "README.md"


@pytest.mark.parametrize("block", blocks(README, "python"), ids=lambda block: block.name)
def test_a_test_file(block, tmp_path):
    assert block.is_test
    run([block], tmp_path)


def test_the_command(tmp_path):
    (block,) = [
        block for block in blocks(README, "console") if block.text.startswith("$ modelport")
    ]
    command(block, tmp_path)


def test_commands_name_what_is_there():
    tox = configparser.ConfigParser()
    tox.read(ROOT / "tox.ini")
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    lines = [line for block in blocks(README, "console") for line in block.text.splitlines()]
    commands = [line[2:] for line in lines if line.startswith("$ ")]
    environments = {name for line in commands for name in re.findall(r"tox -e (\w+)", line)}
    assert environments == {"demo", "test"}
    assert environments - {"test"} <= {name.partition(":")[2] for name in tox.sections()}
    extras = {name for line in commands for name in re.findall(r"pytest-modelport\[(\w+)\]", line)}
    assert extras <= project["optional-dependencies"].keys()
    assert {line.split()[0] for line in commands} <= {"pip", "python", "pytest", "modelport"}


def test_ci_runs_the_second_command():
    assert "python -m pip install -q tox && python -m tox -e test" in (ROOT / ".ci/run").read_text()


def test_it_fits_on_two_screens():
    assert README.read_text().count("\n") <= 125
