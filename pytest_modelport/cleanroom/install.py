"""Making and removing environments: a venv and an installer's own work, locked, and continued where
it was cut off.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from pytest_modelport.cleanroom.environments import Environment, variables
from pytest_modelport.core.errors import ModelportError

#: What the clean room itself needs, whatever an environment is for.
_OURS = ("numpy",)
_LIST = (
    "import importlib.metadata as m, json; "
    "print(json.dumps({d.name: d.version for d in m.distributions()}))"
)


class CannotInstall(ModelportError):
    """The installer gave up; its own output says why."""


def create(wanted: Environment, say: Callable[[str], None]) -> None:
    """Make the environment, unless it is there. Waits for another process that is making it.

    Raises `CannotInstall`, and `OSError` where the cache folder cannot be written.
    """
    import filelock

    wanted.folder.parent.mkdir(parents=True, exist_ok=True)
    with filelock.FileLock(wanted.folder.with_suffix(".lock")):
        if wanted.packages:
            say(f"environment {wanted.name} is there already: {wanted.folder}")
            return
        say(f"environment {wanted.name}: {', '.join(wanted.requirements)}")
        say(f"in {wanted.folder}")
        for command in _commands(wanted):
            _run(wanted, command)
        wanted.finish(_installed(wanted))
    say(f"environment {wanted.name} is ready: {len(wanted.packages)} packages")


def _commands(wanted: Environment) -> list[list[str]]:
    """Uv where it is installed, else venv and pip."""
    packages, uv = [*_OURS, *wanted.requirements], shutil.which("uv")
    if uv:
        make = [
            uv,
            "venv",
            "--quiet",
            "--seed",
            "--allow-existing",
            "--python",
            sys.executable,
            str(wanted.folder),
        ]
        return [make, [uv, "pip", "install", "--python", str(wanted.python), *packages]]
    return [
        [sys.executable, "-m", "venv", str(wanted.folder)],
        [str(wanted.python), "-m", "pip", "install", "--disable-pip-version-check", *packages],
    ]


def _run(wanted: Environment, command: Sequence[str]) -> None:
    """One command, its progress shown as it comes."""
    ended = subprocess.run(command, env=variables(), check=False)
    if ended.returncode:
        raise CannotInstall(
            f"environment {wanted.name} cannot be made: "
            f"{Path(command[0]).name} ended with {ended.returncode}; "
            f"`modelport env create {wanted.name}` goes on from where it stopped"
        )


def _installed(made: Environment) -> dict[str, str]:
    """Versions of what is installed, as its own interpreter sees them. Raises `CannotInstall` when
    that does not work.
    """
    ended = subprocess.run(
        [made.python, "-c", _LIST], env=variables(), capture_output=True, text=True, check=False
    )
    if ended.returncode:
        said = ended.stderr.strip().rpartition("\n")[2]
        raise CannotInstall(
            f"environment {made.name} does not work: "
            f"its interpreter ended with {ended.returncode}: {said}"
        )
    found: dict[str, str] = json.loads(ended.stdout)
    return found


def check(wanted: Environment) -> str:
    """What is wrong with an environment that is there; empty when nothing is. Raises
    `CannotInstall` when it cannot say.
    """
    if not wanted.python.exists():
        return f"its interpreter is missing: {wanted.python}"
    now = _installed(wanted)
    changed = sorted(
        name
        for name in now.keys() | wanted.packages.keys()
        if now.get(name) != wanted.packages.get(name)
    )
    if changed:
        return f"changed since it was made: {', '.join(changed[:5])}"
    uv = shutil.which("uv")
    command = (
        [uv, "pip", "check", "--python", str(wanted.python)]
        if uv
        else [str(wanted.python), "-m", "pip", "check"]
    )
    ended = subprocess.run(command, env=variables(), capture_output=True, text=True, check=False)
    return (ended.stdout + ended.stderr).strip() if ended.returncode else ""


def remove(wanted: Environment) -> bool:
    """Remove the environment. Returns whether there was anything."""
    import filelock

    if not wanted.folder.exists():
        return False
    with filelock.FileLock(wanted.folder.with_suffix(".lock")):
        shutil.rmtree(wanted.folder)
    return True
