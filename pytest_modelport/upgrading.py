"""The command `upgrade-check`: the same suite in two installations, one after the other, and what became of every route."""

from __future__ import annotations

import argparse
import io
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from pytest_modelport import environments
from pytest_modelport.errors import UsageError
from pytest_modelport.gate import Exit
from pytest_modelport.reporting import checked, saved
from pytest_modelport.upgrade import Row, Upgrade, compared
from pytest_modelport.verdict import Outcome, Report, Verdict, spelled

#: How pytest ends where a suite was run: all green, or not.
_RAN = (0, 1)
#: Lines of a suite that did not run.
_LINES = 15


def add(commands: Any) -> None:
    """Register the command."""
    command = commands.add_parser(
        "upgrade-check",
        allow_abbrev=False,
        help="the suite in two installations: what gets worse with AFTER?",
        description="Exit code 0: nothing; 1: something; 2: a bad request; 3: not known. Further arguments are pytest's.",
    )
    command.add_argument("after", metavar="AFTER", help="an environment of pyproject.toml, or a Python interpreter")
    command.add_argument("--before", default=sys.executable, help="likewise (default: this one)")
    command.add_argument("--write", type=Path, metavar="FILE", help="the report of AFTER with what changed: FILE.html or .md")


def run(options: argparse.Namespace, arguments: Sequence[str]) -> int:
    """Run both suites and say what changed. Raises `UsageError` where one of them cannot run at all."""
    if options.write is not None:
        checked(options.write)
    interpreters = {name: _interpreter(name) for name in (options.before, options.after)}
    for name, python in interpreters.items():
        _equipped(name, python)
    with tempfile.TemporaryDirectory(prefix="modelport-upgrade-") as scratch:
        before, after = (_suite(name, interpreters[name], arguments, Path(scratch)) for name in (options.before, options.after))
    upgrade = compared(before, after)
    print(render(upgrade, width=shutil.get_terminal_size().columns, color=sys.stdout.isatty()))
    if options.write is not None:
        saved(options.write, after, changes(upgrade), upgrade.outcome is Outcome.PASSED)
    return int(_EXITS[upgrade.outcome])


_EXITS = {Outcome.PASSED: Exit.PASSED, Outcome.FAILED: Exit.FAILED, Outcome.INCONCLUSIVE: Exit.INCONCLUSIVE}


def _interpreter(name: str) -> Path:
    """The Python of an environment, or one that is named by its path. Raises `UsageError`."""
    if "/" in name:
        if not shutil.which(name):
            raise UsageError(f"no interpreter {name}: give the path of an installation's python, or an environment's name")
        return Path(name)
    found = environments.environment(name, environments.declared(Path.cwd()))
    if not found.packages:
        raise UsageError(f"environment {name} is not there: modelport env create {name}")
    return found.python


def _equipped(name: str, python: Path) -> None:
    """Raises `UsageError` where the suite has nothing to run with."""
    asked = [str(python), "-c", "import pytest_modelport.plugin"]
    ended = subprocess.run(asked, env=_variables(python), capture_output=True, text=True, check=False)
    if ended.returncode:
        said = ended.stderr.strip().rpartition("\n")[2]
        raise UsageError(f"no pytest-modelport in {name}: add it to the environment's requirements ({said})")


def _variables(python: Path) -> dict[str, str] | None:
    """What its process sees: this one's variables, without what would lend our packages to another installation."""
    return None if python == Path(sys.executable) else environments.variables()


def _suite(name: str, python: Path, arguments: Sequence[str], scratch: Path) -> Report:
    """Run pytest there. Its own output goes to a log, whose end is shown where the suite did not run."""
    path, log = scratch / f"{time.monotonic_ns()}.json", scratch / "pytest.log"
    command = [str(python), "-m", "pytest", "-p", "no:cacheprovider", "-q", *arguments, f"--modelport-report={path}"]
    started = time.monotonic()
    with log.open("wb") as file:
        ended = subprocess.run(command, stdout=file, stderr=subprocess.STDOUT, env=_variables(python), check=False)
    if ended.returncode not in _RAN or not path.exists():
        tail = "\n".join(log.read_text(errors="replace").splitlines()[-_LINES:])
        raise UsageError(f"the suite does not run in {name}: pytest ended with {ended.returncode}\n{tail}")
    report = Report.from_json(path.read_text(encoding="utf-8"))
    print(f"{name}: {len(report.items)} routes in {time.monotonic() - started:.0f} s", flush=True)
    return report


def render(upgrade: Upgrade, *, width: int, color: bool) -> str:
    """The versions, a matrix of what changed, its causes, and one line that sums up."""
    from rich.console import Console
    from rich.text import Text

    console = Console(
        file=io.StringIO(), width=width, force_terminal=color, color_system="standard" if color else None, legacy_windows=False
    )
    for name, old, new in upgrade.environment:
        console.print(Text(f"{name} {old} -> {new}"))
    if not upgrade.environment:
        console.print(Text("the same versions before and after"))
    if upgrade.changed:
        console.print(_matrix(upgrade.changed))
    for said, rows in upgrade.causes.items():
        console.print(Text(f"{len(rows)} route{'s' * (len(rows) != 1)}: {said}"))
        for row in rows[:_SHOWN]:
            assert row.after is not None
            console.print(Text(f"    {spelled(row.key)}: {row.after.reason}"), soft_wrap=True)
        if len(rows) > _SHOWN:
            console.print(Text(f"    and {len(rows) - _SHOWN} more"))
    console.print(Text(summary(upgrade.rows)))
    return "\n".join(line.rstrip() for line in console.file.getvalue().splitlines())  # type: ignore[attr-defined]


#: Routes named under one cause.
_SHOWN = 5


def summary(rows: Iterable[Row]) -> str:
    """`12 routes: 9 same, 2 worse, 1 new`."""
    kinds = [row.kind for row in rows]
    words = {"open": "no longer known", "otherwise": "red for another reason"}
    counted = ", ".join(f"{kinds.count(kind)} {words.get(kind, kind)}" for kind in dict.fromkeys(reversed(kinds)))
    return f"{len(kinds)} routes: {counted}" if kinds else "no routes"


def changes(upgrade: Upgrade) -> list[tuple[str, str]]:
    """What changed, for a report's page: kind and words."""
    versions = [("environment", f"{name} was {old} and is {new}") for name, old, new in upgrade.environment]
    routes = [(row.kind, f"{spelled(row.key)}: {_outcome(row.before)}, then {_outcome(row.after)}") for row in upgrade.changed]
    return [*routes, *versions]


def _matrix(rows: Iterable[Row]) -> object:
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("subject and route", overflow="fold")
    for head in ("", "before", "after"):
        table.add_column(head, no_wrap=True)
    table.add_column("error/allowed", no_wrap=True, justify="right")
    for row in rows:
        cells = (spelled(row.key), row.kind, _outcome(row.before), _outcome(row.after), _shares(row))
        table.add_row(*map(Text, cells))
    return table


def _outcome(verdict: Verdict | None) -> str:
    return "not there" if verdict is None else str(verdict.outcome)


def _shares(row: Row) -> str:
    found = ["" if one is None or one.used is None else f"{one.used:.3g}" for one in (row.before, row.after)]
    return " -> ".join(found) if any(found) else ""
