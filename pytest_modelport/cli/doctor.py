"""What this installation can do: every format and runtime, tried by importing what it needs in a
process of its own.
"""

from __future__ import annotations

import contextlib
import shutil
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_modelport.backends import registry, requirements
from pytest_modelport.backends.export import versions
from pytest_modelport.cleanroom.environments import HOW_TO_DECLARE, declared, variables
from pytest_modelport.core.errors import BrokenItem

if TYPE_CHECKING:
    from pytest_modelport.backends.contract import Format, Runtime

_TIMEOUT = 120.0


@dataclass(frozen=True)
class ItemState:
    """One format or runtime, or something else that is broken.

    state: `usable`, `missing`, `broken` or `lacks`; said: versions, the command, or why.
    """

    kind: str
    name: str
    state: str
    said: str

    @property
    def sound(self) -> bool:
        """Whether it works; an item that is not installed counts as fine."""
        return self.state != "broken"


def examine() -> Iterator[ItemState]:
    """Every format, then every runtime, then what else is broken."""
    items: list[tuple[str, str, Format | Runtime]] = [
        *(("format", name, registry.format_(name)) for name in registry.sound("formats")),
        *(("runtime", name, registry.runtime(name)) for name in registry.sound("runtimes")),
    ]
    here = [item for _, _, item in items if not _elsewhere(item)]
    modules = {module for item in here for module in item.REQUIRES}
    there = sorted(module for module in modules if not requirements.missing({module: module}))
    with ThreadPoolExecutor(2) as pool:  # imports of seconds each
        pool.map(_failure, there)
    for kind, name, item in items:
        yield ItemState(kind, name, *_state(f"{kind}s", name, item))
    for group in registry.GROUPS:
        for sick in registry.broken(group):
            yield ItemState(sick.kind, sick.name, "broken", sick.reason)
    if other := _other_command():
        yield ItemState("command", "modelport", "broken", other)


def _other_command() -> str:
    """What `modelport` on the PATH is, where it is not this package's: another one on PyPI brings a
    command of that name.
    """
    found = shutil.which("modelport")
    if found is None:
        return ""
    with contextlib.suppress(OSError):
        if b"pytest_modelport" in Path(found).read_bytes():
            return ""
    return f"{found} on the PATH is not pytest-modelport's: use python -m pytest_modelport"


def _elsewhere(item: Format | Runtime) -> bool:
    """Whether all it imports lies in an environment of its own."""
    return bool(registry.home(item)) and not hasattr(item, "export")


def lacking(*items: Format | Runtime) -> tuple[str, str]:
    """What these need that is not there, packages or an environment, and the command that brings
    it; empty when all is.
    """
    absent, command = requirements.lacking(*(item for item in items if not _elsewhere(item)))
    if absent:
        return absent, command
    known = declared(Path.cwd())
    for name in filter(None, map(registry.home, items)):
        if name not in known:
            return f"environment {name}", f"declare it in pyproject.toml: {HOW_TO_DECLARE}"
        if not known[name].packages:
            return f"environment {name}", f"modelport env create {name}"
    return "", ""


def _state(group: str, name: str, item: Format | Runtime) -> tuple[str, str]:
    absent, command = lacking(item)
    if absent:
        return "missing", command
    home = declared(Path.cwd())[registry.home(item)] if _elsewhere(item) else None
    for module in item.REQUIRES:
        if why := _failure(module, str(home.python) if home else sys.executable):
            return "broken", f"{module} does not import: {why}"
    if home:
        return "usable", f"environment {home.summary}"
    if hasattr(item, "absent"):
        try:
            tool = registry.call(group, name, "absent", {})
        except BrokenItem as error:
            return "broken", str(error)
        if tool:
            return "lacks", tool
    return "usable", ", ".join(f"{name} {version}" for name, version in _versions(item).items())


def _versions(item: Format | Runtime) -> dict[str, str]:
    """What of its requirements is installed under that name: a package may stand in for another
    (onnxruntime-gpu).
    """
    from packaging.requirements import Requirement

    return versions(*(Requirement(text).name for text in item.REQUIRES.values()))


@cache
def _failure(module: str, python: str = sys.executable) -> str:
    """Why a module does not import with this interpreter; empty when it does."""
    try:
        ended = subprocess.run(
            [python, "-W", "ignore", "-c", f"import {module}"],
            env=None if python == sys.executable else variables(),
            capture_output=True,
            text=True,
            check=False,
            timeout=_TIMEOUT,
        )
    except subprocess.TimeoutExpired:
        return f"not within {_TIMEOUT:g} s"
    if not ended.returncode:
        return ""
    lines = [line for line in ended.stderr.splitlines() if line.strip()]
    return lines[-1].strip() if lines else f"status {ended.returncode}"


def markdown() -> str:
    """A page about every target, made of what the items say of themselves."""
    lines = [
        "# Targets",
        "",
        "`modelport targets --markdown` makes this page. A target is `FORMAT`, `FORMAT:RUNTIME`",
        "or, with options, `FORMAT(OPTION=VALUE):RUNTIME`; `@ENVIRONMENT` after it opens the",
        "artifact in an installation of its own.",
        "",
        "A file that is *data* can only compute on tensors, as far as its runtime has no fault.",
        "One that is *a program* does what its builder wrote, in a process of its own and with",
        "your rights: bring (`artifact=`) only those whose builder you trust.",
        "",
        "| target | what it is | a file is | opened by | install | devices | options |",
        "|---|---|---|---|---|---|---|",
    ]
    return "\n".join([*lines, *map(_row, registry.targets())]) + "\n"


def _row(name: str) -> str:
    target = registry.target(name)
    maker, opener = registry.format_(target.format), registry.runtime(target.runtime)
    extras = [extra for extra in dict.fromkeys((maker.EXTRA, opener.EXTRA)) if extra]
    options = {**registry.options(maker), **registry.options(opener)}
    devices = [device for device in maker.DEVICES if device in opener.DEVICES]
    cells = [
        f"`{name}`",
        _first(maker),
        "a program" if getattr(maker, "PROGRAM", False) else "data",
        _first(opener),
        _install(extras, registry.home(maker) or registry.home(opener)),
        ", ".join(devices),
        ", ".join(f"`{key}={_kind(kind)}`" for key, kind in sorted(options.items())),
    ]
    return f"| {' | '.join(cells)} |"


def _install(extras: list[str], environment: str) -> str:
    commands = [f"`modelport env create {environment}`"] if environment else []
    commands += [f"`pytest-modelport[{','.join(extras)}]`"] if extras else []
    return ", ".join(commands) or "nothing more"


def _first(item: object) -> str:
    """The first sentence that a file says about itself."""
    return " ".join((item.__doc__ or "").partition("\n\n")[0].split())


def _kind(kind: object) -> str:
    if isinstance(kind, tuple):
        return "/".join(kind)
    return "true/false" if kind is bool else "N"
