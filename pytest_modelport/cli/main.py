"""The command line: `modelport COMMAND`. Each group of commands has a module of its own."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Mapping, Sequence

from pytest_modelport import __version__
from pytest_modelport.backends import registry
from pytest_modelport.cli import environments, prove, releases, upgrade
from pytest_modelport.cli.doctor import lacking
from pytest_modelport.core.errors import ModelportError


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command. Returns the exit code: 0 done and green, 1 a report that is not green, 2 a
    bad request.
    """
    parser, run = commands()
    options, further = parser.parse_known_args(arguments)
    if further and options.command != "upgrade-check":
        parser.error(f"unrecognized arguments: {' '.join(further)}")
    sys.path.insert(0, "")  # models are named as from here
    try:
        if options.command == "upgrade-check":
            return upgrade.run(options, further)
        return run[options.command](options)
    except ModelportError as error:
        print(f"modelport: {error}", file=sys.stderr)
        return 2


def commands() -> tuple[argparse.ArgumentParser, Mapping[str, Callable[..., int]]]:
    """The parser of every command, and the functions that run them, by name."""
    parser = argparse.ArgumentParser(
        prog="modelport", description="Does the deployed model still answer as the PyTorch model?"
    )
    parser.add_argument("--version", action="version", version=f"pytest-modelport {__version__}")
    actions = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    targets = actions.add_parser("targets", help="list every target, and what is missing to use it")
    targets.add_argument("--markdown", action="store_true", help="print them as a page")
    actions.add_parser(
        "doctor", help="try every format and runtime: does it import, in which version?"
    )
    run = {"targets": _targets, "doctor": _doctor}
    for group in (prove, environments, releases):
        run |= group.add(actions)
    upgrade.add(actions)
    return parser, run


def _targets(options: argparse.Namespace) -> int:
    if options.markdown:
        from pytest_modelport.cli.doctor import markdown

        print(markdown(), end="")
        return 0
    names = registry.targets()
    width = max(map(len, names))
    for name in names:
        target = registry.target(name)
        absent, command = lacking(registry.format_(target.format), registry.runtime(target.runtime))
        state = f"missing {absent}: {command}" if absent else "usable"
        print(f"{name:<{width}}  {state}")
    return 0


def _doctor(_: argparse.Namespace) -> int:
    from pytest_modelport.cli.doctor import examine

    sound = True
    for finding in examine():
        print(f"{finding.kind:<8} {finding.name:<20} {finding.state:<8} {finding.said}", flush=True)
        sound = sound and finding.sound
    return 0 if sound else 1
