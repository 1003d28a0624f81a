"""Examples of CI files name what is there: options, commands, extras."""

from __future__ import annotations

import configparser
import re
from pathlib import Path

import pytest

from pytest_modelport.plugin import options

ROOT = Path(__file__).resolve().parents[2]
FILES = sorted((ROOT / "examples/release").iterdir())
KNOWN = set(re.findall(r'"(--modelport-[a-z-]+)"', Path(options.__file__).read_text()))


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_options_and_commands_are_there(path, capsys):
    from pytest_modelport.cli.main import main

    text = path.read_text()
    assert set(re.findall(r"--modelport-[a-z-]+", text)) <= KNOWN
    with pytest.raises(SystemExit):
        main(["--help"])
    commands = set(re.search(r"COMMAND\n((?:    .*\n)+)", capsys.readouterr().out)[1].split())
    assert (
        set(re.findall(r"(?:^ *|&& |run: |- )modelport ([\w-]+)", text, re.MULTILINE)) <= commands
    )
    extras = {
        name
        for found in re.findall(r"pytest-modelport\[([\w,]+)\]", text)
        for name in found.split(",")
    }
    assert extras <= set(
        re.findall(r"^(\w+) = \[", (ROOT / "pyproject.toml").read_text(), re.MULTILINE)
    )


def test_yaml_is_yaml():
    yaml = pytest.importorskip("yaml")
    for path in FILES:
        if path.suffix == ".yml":
            assert yaml.safe_load(path.read_text())


def test_tox_is_tox():
    tox = configparser.ConfigParser()
    tox.read(ROOT / "examples/release/tox.ini")
    assert set(tox.sections()) == {"testenv", "testenv:smoke", "testenv:gate"}
