"""The command `modelport env`: environments that the project declares."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pytest_modelport.cleanroom import environments, install
from pytest_modelport.core.errors import UsageError


def add(commands: Any) -> dict[str, Callable[[argparse.Namespace], int]]:
    """Register the command; the function that runs it, by name."""
    command = commands.add_parser(
        "env", help="environments declared in pyproject.toml: [tool.modelport.environments]"
    )
    actions = command.add_subparsers(dest="action", required=True, metavar="ACTION")
    actions.add_parser("list", help="those that are declared, and whether they are there")
    for action, about in (
        ("create", "install it"),
        ("check", "is it still what was installed?"),
        ("remove", "delete it"),
    ):
        actions.add_parser(action, help=about).add_argument("names", nargs="+", metavar="NAME")
    return {"env": env}


def env(options: argparse.Namespace) -> int:
    known = environments.declared(Path.cwd())
    if options.action == "list":
        for name, item in known.items():
            state = "ready" if item.packages else "not there"
            print(f"{name}  {state}  {', '.join(item.requirements)}  {item.folder}")
        if not known:
            print(
                "none declared: write [tool.modelport.environments] NAME = [requirements] "
                "in pyproject.toml"
            )
        return 0
    failed = 0
    for item in [environments.environment(name, known) for name in options.names]:
        try:
            failed += not _ENV_ACTIONS[options.action](item)
        except OSError as error:
            raise UsageError(
                f"cannot {options.action} environment {item.name}: "
                f"{error.strerror}: {error.filename}"
            ) from error
    return int(failed > 0)


def _create(item: environments.Environment) -> bool:
    install.create(item, lambda line: print(line, flush=True))
    return True


def _remove(item: environments.Environment) -> bool:
    print(f"environment {item.name} {'removed' if install.remove(item) else 'was not there'}")
    return True


def _check(item: environments.Environment) -> bool:
    wrong = install.check(item) if item.packages else f"not there: modelport env create {item.name}"
    print(f"environment {item.name}: {wrong or 'sound'}")
    return not wrong


_ENV_ACTIONS = {"create": _create, "remove": _remove, "check": _check}
