"""The command line: `modelport targets`, `modelport show REPORT.json`."""

from __future__ import annotations

import argparse
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

from pytest_modelport import __version__, shelf
from pytest_modelport.availability import install
from pytest_modelport.errors import ModelportError, UsageError
from pytest_modelport.verdict import Report


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command. Returns the exit code: 0 done and green, 1 a report that is not green, 2 a bad request."""
    parser = argparse.ArgumentParser(prog="modelport", description="Does the deployed model still answer as the PyTorch model?")
    parser.add_argument("--version", action="version", version=f"pytest-modelport {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    commands.add_parser("targets", help="every target, and what is missing to use it")
    show = commands.add_parser("show", help="print a report that verify(...).to_json() wrote")
    show.add_argument("report", type=Path)
    options = parser.parse_args(arguments)
    try:
        return _targets() if options.command == "targets" else _show(options.report)
    except ModelportError as error:
        print(f"modelport: {error}", file=sys.stderr)
        return 2


def _targets() -> int:
    names = shelf.targets()
    width = max(map(len, names))
    for name in names:
        target = shelf.target(name)
        maker, opener = shelf.format_(target.format), shelf.runtime(target.runtime)
        absent = shelf.missing({**maker.REQUIRES, **opener.REQUIRES})
        state = f"missing {', '.join(absent)}: {install(maker.EXTRA or opener.EXTRA, absent)}" if absent else "usable"
        print(f"{name:<{width}}  {state}")
    return 0


def _show(path: Path) -> int:
    from pytest_modelport.reports.terminal import render

    try:
        text = path.read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{path} cannot be read: {error}") from error
    report = Report.from_json(text)
    print(render(report.verdicts, width=shutil.get_terminal_size().columns, color=sys.stdout.isatty()))
    print("passed" if report.passed else "not passed")
    return 0 if report.passed else 1
