"""`--modelport-release` and `--modelport-baseline`: folders of releases."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from pytest_modelport.plugin.gather import is_worker

if TYPE_CHECKING:
    from pytest_modelport.core.route import Route
    from pytest_modelport.request.budgets import Baseline

#: What `--modelport-baseline` is for the first release.
NONE = "none"


def new(config: pytest.Config) -> Path | None:
    """Where this run's release goes: a new folder, so that nothing in it is of another run. Raises
    `pytest.UsageError`.
    """
    given = config.getoption("modelport_release")
    if not given:
        return None
    from pytest_modelport.reports.release import partial

    folder = Path(config.invocation_params.dir, given)  # whatever a test changes into
    if is_worker(config):  # the process that started this one has looked
        return folder
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise pytest.UsageError(
            f"--modelport-release: {given} is there already; a release goes into a new folder"
        )
    _hold(config, partial(folder), given)
    shutil.rmtree(partial(folder), ignore_errors=True)  # of a run that was killed
    return folder


def _hold(config: pytest.Config, made: Path, given: str) -> None:
    """Keep other runs from making the same release, until this one ends. Raises
    `pytest.UsageError`.
    """
    from filelock import FileLock, Timeout

    lock = FileLock(made.with_name(f"{made.name}.lock"))
    try:
        made.parent.mkdir(parents=True, exist_ok=True)
        lock.acquire(timeout=0)
    except Timeout:
        raise pytest.UsageError(f"--modelport-release: another run is writing {given}") from None
    except OSError:
        return  # a place where nothing can be written: the first artifact says so, with its reason

    def end() -> None:
        lock.release()
        Path(lock.lock_file).unlink(missing_ok=True)

    config.add_cleanup(end)


def last(config: pytest.Config) -> Baseline | None:
    """The release to compare with, `DIR` or `DIR@ENVIRONMENT`. Raises `pytest.UsageError` for a
    folder that holds none.
    """
    given = config.getoption("modelport_baseline")
    if not given:
        return None
    from pytest_modelport.cleanroom.environments import declared, environment
    from pytest_modelport.core.errors import UsageError
    from pytest_modelport.reports.release import ENTRY
    from pytest_modelport.request.budgets import Baseline

    folder, name = given, ""
    if "@" in given and not Path(given).exists():
        folder, _, name = given.rpartition("@")
    if folder != NONE and not (Path(folder) / ENTRY).is_file():
        raise pytest.UsageError(
            f"--modelport-baseline: no release in {folder}; write {NONE} for the first one"
        )
    try:
        known = environment(name, declared(config.rootpath)).name if name else ""
    except UsageError as error:
        raise pytest.UsageError(f"--modelport-baseline: {error}") from None
    return Baseline(Path(config.invocation_params.dir, folder), known)


def write_artifacts(proven: list[tuple[Path, Route, Path, dict[str, str]]]) -> None:
    """Put an item's artifacts beside the others that passed. Fails the item when they cannot be
    written.
    """
    from pytest_modelport.reports.release import add

    for home, route, folder, subject in proven:
        try:
            add(home, route, folder, subject)
        except OSError as error:
            pytest.fail(
                f"the release cannot be written: {error.strerror}: {error.filename or home}",
                pytrace=False,
            )
