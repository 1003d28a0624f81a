"""A release: the artifacts of all routes that passed, byte for byte those that were verified, and
the verdicts about them.

It is made in a folder beside its own and renamed when it is complete: whatever is killed, there is
no half of one. `release.json` holds the report and the hash of every other file.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pytest_modelport.core import artifact
from pytest_modelport.core.errors import UsageError
from pytest_modelport.core.report import Report, sealed, unsealed
from pytest_modelport.core.route import Route
from pytest_modelport.core.verdict import worst

SCHEMA = 1
ENTRY = "release.json"


@dataclass(frozen=True)
class Release:
    """report: every verdict of the run. files: relative path -> {"sha256", "size"}."""

    report: Report
    files: Mapping[str, Mapping[str, Any]]


#: Letters of a folder's name.
_LONGEST = 120


def home(release: Path, suite: str, subject: str) -> Path:
    """The folder of one subject's artifacts, in letters that every file system takes. suite: the
    file of its test.
    """
    return release / _named(f"{suite}::{subject}")


def place(home: Path, route: Route) -> Path:
    """The folder of a route's artifact among those of its subject."""
    return home / _named(route.id)


def partial(release: Path) -> Path:
    """Where a release is made until it is complete."""
    return release.with_name(f".{release.name}.partial")


def add(home: Path, route: Route, folder: Path, subject: Mapping[str, str]) -> None:
    """Put a verified artifact there, instead of one of the same run, with its subject's identity.
    Raises `OSError` and `CorruptArtifact`.
    """
    wanted = place(home, route)
    wanted.parent.mkdir(parents=True, exist_ok=True)
    made = Path(tempfile.mkdtemp(dir=wanted.parent, prefix=".new-"))
    try:
        shutil.copytree(folder, made, dirs_exist_ok=True)
        manifest = artifact.load(made).manifest
        if route.id not in manifest.sessions:
            raise artifact.CorruptArtifact(
                f"{folder} was never opened by {route.id}: it is not what was verified"
            )
        artifact.write_manifest(made, replace(manifest, subject=dict(subject)))
        if wanted.exists():  # the test was run again
            shutil.rmtree(wanted)
        made.replace(wanted)
    except BaseException:
        shutil.rmtree(made, ignore_errors=True)
        raise


def _named(text: str) -> str:
    """A folder's name. One that had to be changed or cut ends with a hash: no two texts have one
    name.
    """
    plain = re.sub(r"[^\w.=@,()+-]", "_", text.replace("::", "__"), flags=re.ASCII)
    if plain == text.replace("::", "__") and len(plain) <= _LONGEST and "__" not in text:
        return plain
    encoded = text.encode(errors="surrogatepass")
    return f"{plain[:_LONGEST]}-{hashlib.blake2b(encoded, digest_size=4).hexdigest()}"


def only_green(made: Path, report: Report) -> None:
    """Take out artifacts of routes that were green and are not: a test that was run again, or
    failed in its teardown.
    """
    for (suite, subject, route), verdicts in report.items.items():
        if not worst(verdicts).passed:
            shutil.rmtree(home(made, suite, subject) / _named(route), ignore_errors=True)


def finish(release: Path, report: Report) -> None:
    """Complete what was made: the report and every hash are written, then the folder gets its name.
    Raises `OSError`.
    """
    made = partial(release)
    made.mkdir(parents=True, exist_ok=True)
    body = {"schema": SCHEMA, "report": report.to_dict(), "files": _hashed(made)}
    path = made / ENTRY
    path.write_text(json.dumps(sealed(body), indent=1, allow_nan=False))
    with path.open("rb") as file:
        os.fsync(file.fileno())
    if release.is_dir():
        release.rmdir()  # it was empty when the run began; one that is not cannot be removed so
    made.rename(release)


def _hashed(folder: Path) -> dict[str, dict[str, Any]]:
    return {
        str(path.relative_to(folder)): {
            "sha256": artifact.sha256(path),
            "size": path.stat().st_size,
        }
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path != folder / ENTRY
    }


def read(folder: Path) -> Release:
    """A release's report and hashes. Raises `UsageError` for a folder that holds none, and for one
    whose report was edited.
    """
    try:
        document = json.loads((folder / ENTRY).read_text())
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise UsageError(f"no release in {folder}: {ENTRY} cannot be read ({error})") from error
    if not isinstance(document, dict) or document.get("schema") != SCHEMA:
        raise UsageError(
            f"{folder / ENTRY} is not a release that this version reads (schema {SCHEMA})"
        )
    unsealed(document, str(folder / ENTRY))
    return Release(Report.from_dict(document["report"]), document["files"])


def problems(folder: Path) -> Iterator[str]:
    """What in a release is not as it was verified: files added, missing, changed, linked; artifacts
    that nothing vouches for.

    Raises `UsageError` as `read`.
    """
    found = read(folder)
    for path in sorted(folder.rglob("*")):
        if path.is_symlink():
            yield f"{path.relative_to(folder)} is a link"
    there = {
        str(path.relative_to(folder))
        for path in folder.rglob("*")
        if path.is_file() and str(path.relative_to(folder)) != ENTRY
    }
    for name in sorted(there - set(found.files)):
        yield f"{name} was added"
    for name, row in found.files.items():
        if name not in there:
            yield f"{name} is missing"
        elif (folder / name).is_symlink() or artifact.sha256(folder / name) != row["sha256"]:
            yield f"{name} is not the file that was verified (sha256 differs)"
    items = found.report.items.items()
    green = {
        (_named(f"{suite}::{subject}"), _named(route))
        for (suite, subject, route), all_ in items
        if worst(all_).passed
    }
    kept = {Path(name).parts[:2] for name in found.files}
    for name in found.files:
        if Path(name).parts[:2] not in green:
            yield f"{name} belongs to no route that passed"
    for home_, route in sorted(green - kept):
        yield f"{home_}/{route} is missing, and its route passed"
