"""A release: the artifacts of all routes that passed, byte for byte those that were verified."""

from __future__ import annotations

import re
import shutil
import tempfile
from pathlib import Path

from pytest_modelport import artifact
from pytest_modelport.route import Route


def home(release: Path, subject: str) -> Path:
    """The folder of one subject's artifacts, in letters that every file system takes."""
    return release / _named(subject)


def place(home: Path, route: Route) -> Path:
    """The folder of a route's artifact among those of its subject."""
    return home / _named(route.id)


def add(home: Path, route: Route, folder: Path) -> None:
    """Put a verified artifact there, instead of one of the same run. Raises `OSError` and `CorruptArtifact`."""
    wanted = place(home, route)
    wanted.parent.mkdir(parents=True, exist_ok=True)
    made = Path(tempfile.mkdtemp(dir=wanted.parent, prefix=".new-"))
    try:
        shutil.copytree(folder, made, dirs_exist_ok=True)
        artifact.load(made)
        if wanted.exists():  # the test was run again
            shutil.rmtree(wanted)
        made.replace(wanted)
    except BaseException:
        shutil.rmtree(made, ignore_errors=True)
        raise


def _named(text: str) -> str:
    return re.sub(r"[^\w.=@,()+-]", "_", text)
