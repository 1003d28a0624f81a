"""Code on the project's pages, and what it is shown to print: run as a reader would."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Block:
    """A fenced block, and what the reader is shown to come out of it."""

    language: str
    text: str
    shown: str = ""

    @property
    def is_test(self) -> bool:
        return "pytest.mark.portable" in self.text

    @property
    def name(self) -> str:
        """Of its test or class, for ids."""
        return re.findall(r"(?:def test_|class Test)(\w+)", self.text)[0]

    @property
    def options(self) -> list[list[str]]:
        """Of each run of pytest that is shown with some."""
        shown = [
            shlex.split(line)[2:] for line in self.shown.splitlines() if line.startswith("$ pytest")
        ]
        given = [[word for word in words if not word.endswith(".py")] for words in shown]
        return [words for words in given if words]

    @property
    def is_red(self) -> bool:
        """Whether what is shown is a failure, or nothing but commands."""
        return bool(timeless(self.shown)) and not re.search(r"\d passed", self.shown)


def blocks(page: Path, language: str) -> list[Block]:
    found = [Block(*match) for match in BLOCK.findall(page.read_text())]
    assert {block.language for block in found} <= {"python", "console", "toml"}, (
        "a block that no test here would run"
    )
    following = [*found[1:], Block("", "")][: len(found)]
    return [
        Block(block.language, block.text, after.text if after.language == "console" else "")
        for block, after in zip(found, following, strict=True)
        if block.language == language
    ]


def timeless(text: str) -> list[str]:
    """Lines without what differs from run to run: figures, versions, folders, blanks, progress, the width of rules."""
    text = re.sub(r"versions .*(\n {13}.*)*", "versions", text)
    text = re.sub(r"/\S+", "/path", text)
    text = re.sub(r"[-+]?\d+(\.\d+)?(e[-+]?\d+)?", "0", text)
    text = re.sub(r"─+", "─", re.sub(r"=+", "=", text))
    lines = [" ".join(line.split()) for line in text.splitlines()]
    return [
        line for line in lines if line and not line.endswith("0%]") and not line.startswith("$ ")
    ]


def run(blocks: Sequence[Block], tmp_path: Path) -> None:
    """Run test files as the reader would, those without options of their own in one session."""
    for block in (block for block in blocks if block.options):
        for options in block.options:
            _run({_name(block): block}, tmp_path, options)
        for release in (
            word.partition("=")[2]
            for options in block.options
            for word in options
            if "release=" in word
        ):
            assert list((tmp_path / release).glob("*/*/manifest.json")), release
    plain = [block for block in blocks if not block.options]
    if plain:
        _run({_name(block, number): block for number, block in enumerate(plain)}, tmp_path, [])


def command(block: Block, tmp_path: Path) -> None:
    """Run the command that a console block shows, and hold what it prints against the block."""
    words = shlex.split(block.text.splitlines()[0].removeprefix("$ "))
    done = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert_shown(block.text, done.stdout)


def _name(block: Block, number: int = 0) -> str:
    named = re.search(r"test_\w+\.py", block.shown)
    return named[0] if named else f"test_block_{number}.py"


def _run(files: Mapping[str, Block], tmp_path: Path, options: Sequence[str]) -> None:
    for name, block in files.items():
        (tmp_path / name).write_text(block.text)
    plain = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-p",
        "no:cacheprovider",
        "-c",
        "/dev/null",
        "--rootdir",
        str(tmp_path),
    ]
    alone = {
        name: value for name, value in os.environ.items() if not name.startswith("PYTEST_XDIST")
    }
    run = subprocess.run(
        [*plain, *options, *files],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        env=alone,
    )
    red = {name for name, block in files.items() if block.is_red}
    assert run.returncode == (1 if red else 0), run.stdout + run.stderr
    assert set(re.findall(r"^FAILED (\S+\.py)::", run.stdout, re.MULTILINE)) == red, run.stdout
    assert "no tests ran" not in run.stdout
    for block in files.values():
        assert_shown(block.shown, run.stdout)


def assert_shown(shown: str, printed: str) -> None:
    happened = timeless(printed)
    missing = [line for line in timeless(shown) if line not in happened]
    assert not missing, "shown, but not what happens:\n" + "\n".join(missing) + "\n\n" + printed
