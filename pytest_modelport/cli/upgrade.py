"""The command `upgrade-check`: the same suite in two installations, one after the other, and what
became of every route.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pytest_modelport.cleanroom import environments
from pytest_modelport.core.errors import UsageError
from pytest_modelport.core.report import Report
from pytest_modelport.core.verdict import Outcome
from pytest_modelport.reports.gate import Exit
from pytest_modelport.reports.upgrade import changes, compared, render
from pytest_modelport.reports.write import checked, saved

#: How pytest ends where a suite was run: all green, or not.
_RAN = (0, 1)
#: Lines of a suite that did not run.
_LINES = 15


def add(commands: Any) -> None:
    """Register the command."""
    command = commands.add_parser(
        "upgrade-check",
        allow_abbrev=False,
        help="run the tests in two installations and list what AFTER makes worse",
        description=(
            "Exit code 0: nothing got worse; 1: something did; 2: wrong usage; 3: undecided. "
            "Further arguments are pytest's."
        ),
    )
    command.add_argument(
        "after", metavar="AFTER", help="an environment of pyproject.toml, or a Python interpreter"
    )
    command.add_argument(
        "--before",
        default=sys.executable,
        help="what to compare with, likewise (default: this Python)",
    )
    command.add_argument(
        "--write",
        type=Path,
        metavar="FILE",
        help="write the report of AFTER with what changed: FILE.html or .md",
    )


def run(options: argparse.Namespace, arguments: Sequence[str]) -> int:
    """Run both suites and say what changed. Raises `UsageError` where one of them cannot run at
    all.
    """
    if options.write is not None:
        checked(options.write)
    interpreters = {name: _interpreter(name) for name in (options.before, options.after)}
    for name, python in interpreters.items():
        _equipped(name, python)
    with tempfile.TemporaryDirectory(prefix="modelport-upgrade-") as scratch:
        before, after = (
            _suite(name, interpreters[name], arguments, Path(scratch))
            for name in (options.before, options.after)
        )
    upgrade = compared(before, after)
    print(render(upgrade, width=shutil.get_terminal_size().columns, color=sys.stdout.isatty()))
    if options.write is not None:
        saved(options.write, after, changes(upgrade), upgrade.outcome is Outcome.PASSED)
    return int(_EXITS[upgrade.outcome])


_EXITS = {
    Outcome.PASSED: Exit.PASSED,
    Outcome.FAILED: Exit.FAILED,
    Outcome.INCONCLUSIVE: Exit.INCONCLUSIVE,
}


def _interpreter(name: str) -> Path:
    """The Python of an environment, or one that is named by its path. Raises `UsageError`."""
    if "/" in name:
        if not shutil.which(name):
            raise UsageError(
                f"no interpreter {name}: give the path of an installation's python, "
                "or an environment's name"
            )
        return Path(name)
    found = environments.environment(name, environments.declared(Path.cwd()))
    if not found.packages:
        raise UsageError(f"environment {name} is not there: modelport env create {name}")
    return found.python


def _equipped(name: str, python: Path) -> None:
    """Raises `UsageError` where the suite has nothing to run with."""
    asked = [str(python), "-c", "import pytest_modelport.plugin"]
    ended = subprocess.run(
        asked, env=_variables(python), capture_output=True, text=True, check=False
    )
    if ended.returncode:
        said = ended.stderr.strip().rpartition("\n")[2]
        raise UsageError(
            f"no pytest-modelport in {name}: add it to the environment's requirements ({said})"
        )


def _variables(python: Path) -> dict[str, str] | None:
    """What its process sees: this one's variables, without what would lend our packages to another
    installation.
    """
    return None if python == Path(sys.executable) else environments.variables()


def _suite(name: str, python: Path, arguments: Sequence[str], scratch: Path) -> Report:
    """Run pytest there. Its own output goes to a log, whose end is shown where the suite did not
    run.
    """
    path, log = scratch / f"{time.monotonic_ns()}.json", scratch / "pytest.log"
    command = [
        str(python),
        "-m",
        "pytest",
        "-p",
        "no:cacheprovider",
        "-q",
        *arguments,
        f"--modelport-report={path}",
    ]
    started = time.monotonic()
    with log.open("wb") as file:
        ended = subprocess.run(
            command, stdout=file, stderr=subprocess.STDOUT, env=_variables(python), check=False
        )
    if ended.returncode not in _RAN or not path.exists():
        tail = "\n".join(log.read_text(errors="replace").splitlines()[-_LINES:])
        raise UsageError(
            f"the tests do not run in {name}: pytest ended with {ended.returncode}\n{tail}"
        )
    report = Report.from_json(path.read_text(encoding="utf-8"))
    print(f"{name}: {len(report.items)} routes in {time.monotonic() - started:.0f} s", flush=True)
    return report
