"""`--modelport-release` and `--modelport-baseline`: folders of releases."""

from __future__ import annotations

from pathlib import Path

import pytest

from pytest_modelport.route import Route

#: What `--modelport-baseline` is for the first release.
NONE = "none"


def new(config: pytest.Config) -> Path | None:
    """Where this run's release goes: a new folder, so that nothing in it is of another run. Raises `pytest.UsageError`."""
    given = config.getoption("modelport_release")
    if not given:
        return None
    folder = Path(given)
    if hasattr(config, "workerinput"):  # the process that started this one has looked, before the first artifact came
        return folder
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise pytest.UsageError(f"--modelport-release: {given} is there already; a release goes into a new folder")
    return folder


def last(config: pytest.Config) -> Path | None:
    """The release to compare with. Raises `pytest.UsageError` for a folder that holds none."""
    given = config.getoption("modelport_baseline")
    if not given:
        return None
    if given != NONE and not any(Path(given).glob("*/*/manifest.json")):
        raise pytest.UsageError(f"--modelport-baseline: no release in {given}; write {NONE} for the first one")
    return Path(given)


def write_artifacts(proven: list[tuple[Path, Route, Path]]) -> None:
    """Put an item's artifacts beside the others that passed. Fails the item when they cannot be written."""
    from pytest_modelport.release import add

    for home, route, folder in proven:
        try:
            add(home, route, folder)
        except OSError as error:
            pytest.fail(f"the release cannot be written: {error.strerror}: {error.filename or home}", pytrace=False)
