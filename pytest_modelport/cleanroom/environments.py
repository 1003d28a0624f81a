"""Environments: installations beside the session's own, in which a clean room opens artifacts
(`onnx@production`).

They are declared in the project's pyproject.toml and lie in the user's cache folder, one for each
set of requirements:

    [tool.modelport.environments]
    production = ["onnxruntime==1.20.1", "numpy<2"]
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import os
import platform
import re
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pytest_modelport.core.errors import UsageError, unknown
from pytest_modelport.core.route import Route
from pytest_modelport.core.target import parse
from pytest_modelport.request.project import found_table

if sys.version_info >= (3, 11):
    pass
else:
    pass

#: Installations that formats need for themselves, because their converters and torch's world cannot
#: share one. A project may declare its own under the same name. torch: the session's version, whose
#: programs the converter reads.
_OWN = {
    "litert": ("litert-torch>=0.10", "ai-edge-litert>=2.0", "torch=={torch}"),
    "mindspore": ("mindspore>=2.5", "numpy<2", "setuptools"),
    "paddle": ("paddlepaddle>=3.0", "x2paddle>=1.6", "onnx", "six", "requests"),
    "tensorflow": ("onnx2tf>=1.29,<2", "tf-keras"),
    "onnx2torch": ("onnx2torch>=1.5", "torchvision", "torch=={torch}"),
}
HOW_TO_DECLARE = "[tool.modelport.environments] NAME = [requirements]"
_READY = "ready.json"
_NAME = re.compile(r"[\w.-]+")


@dataclass(frozen=True)
class Environment:
    """What an installation holds, and where. Equal requirements under one name are one folder, for
    every project.
    """

    name: str
    requirements: tuple[str, ...]

    @property
    def folder(self) -> Path:
        import platformdirs

        python = f"{sys.implementation.cache_tag}-{platform.machine()}"
        digest = hashlib.blake2b(
            "\0".join((python, *sorted(self.requirements))).encode(), digest_size=6
        ).hexdigest()
        return Path(
            platformdirs.user_cache_dir("pytest-modelport", appauthor=False),
            "environments",
            f"{self.name}-{digest}",
        )

    @property
    def python(self) -> Path:
        """Its interpreter."""
        return self.folder / "bin" / "python"

    @property
    def packages(self) -> dict[str, str]:
        """Versions of what was installed; empty until it is there."""
        try:
            found: dict[str, str] = json.loads((self.folder / _READY).read_text())
        except (FileNotFoundError, ValueError):
            return {}
        return found

    @property
    def summary(self) -> str:
        """Its name with the versions of what it was asked to hold."""
        from packaging.requirements import Requirement
        from packaging.utils import canonicalize_name

        held = {canonicalize_name(name): version for name, version in self.packages.items()}
        asked = [canonicalize_name(Requirement(item).name) for item in self.requirements]
        versions = ", ".join(f"{name} {held[name]}" for name in asked if name in held)
        return f"{self.name}: {versions or 'not there'}"

    def finish(self, packages: Mapping[str, str]) -> None:
        """Say that everything is installed. Written at once: what was cut off has no such file."""
        partial = self.folder / f"{_READY}.partial"
        partial.write_text(json.dumps(dict(sorted(packages.items())), indent=1))
        partial.replace(self.folder / _READY)


def variables() -> dict[str, str]:
    """The variables of this process without those that would lend its packages, or their pins, to
    another interpreter.
    """
    leave = (
        "PYTHONPATH",
        "PYTHONHOME",
        "VIRTUAL_ENV",
        "__PYVENV_LAUNCHER__",
        "PIP_CONSTRAINT",
        "UV_CONSTRAINT",
    )
    return {
        **{key: value for key, value in os.environ.items() if key not in leave},
        "PYTHONNOUSERSITE": "1",
    }


def own() -> dict[str, Environment]:
    """The environments that formats need, whatever a project declares."""
    torch = importlib.metadata.version("torch").partition("+")[0]
    return {
        name: Environment(name, tuple(item.format(torch=torch) for item in items))
        for name, items in _OWN.items()
    }


def declared(start: Path) -> dict[str, Environment]:
    """Our environments and those of the project that `start` lies in.

    Raises `UsageError` when they are not written as they should be.
    """
    file, table = found_table(start)
    environments = table.get("environments", {})
    if not isinstance(environments, Mapping):
        raise UsageError(
            f"tool.modelport.environments in {file} is {environments!r}: "
            "write NAME = [requirements]"
        )
    return {
        **own(),
        **{name: _environment(file, name, value) for name, value in environments.items()},
    }


def _environment(file: Path, name: str, value: Any) -> Environment:
    from packaging.requirements import InvalidRequirement, Requirement

    where = f"environment {name!r} in {file}"
    if not _NAME.fullmatch(name):
        raise UsageError(f"{where}: a name has letters, digits, dots and dashes")
    if not (isinstance(value, list) and value and all(isinstance(item, str) for item in value)):
        raise UsageError(f"{where} is {value!r}: give a list of requirements")
    for item in value:
        try:
            Requirement(item)
        except InvalidRequirement as error:
            raise UsageError(f"{where} has {item!r}, which is not a requirement: {error}") from None
    return Environment(name, tuple(value))


def environment(name: str, known: Mapping[str, Environment]) -> Environment:
    """The environment called `name`. Raises `UsageError` with the nearest match, and with how to
    declare one.
    """
    if name in known:
        return known[name]
    nobody = unknown("environment", name, sorted(known))
    how = HOW_TO_DECLARE.replace("NAME", name)
    raise UsageError(f"{nobody}; to declare it, in pyproject.toml: {how}")


def require(routes: Iterable[Route], known: Mapping[str, Environment]) -> None:
    """Raises `UsageError` for a route through an environment that is not declared."""
    for route in routes:
        if name := parse(route.target).environment:
            environment(name, known)
