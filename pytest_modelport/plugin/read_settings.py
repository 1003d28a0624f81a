"""The settings of a run, read from pytest's options and configuration file, and checked."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import pytest

from pytest_modelport.plugin.releases import last, new
from pytest_modelport.plugin.settings import Settings

if TYPE_CHECKING:
    from pytest_modelport.cleanroom.workspace import Keep

#: How many samples the check `shapes` makes, by the kind of run.
PROFILES = {"ci": 50, "nightly": 200}


def read(config: pytest.Config) -> Settings:
    """The settings of this run. Raises `pytest.UsageError` for names and numbers that make no
    sense.
    """
    only, device = config.getoption("modelport_targets"), config.getoption("modelport_device")
    models = tuple(dict.fromkeys(config.getoption("portable_models")))
    kept = _checked_targets(only) if only else None
    return Settings(
        models=models,
        strict=bool(config.getoption("modelport_strict")),
        device=_checked_device(device) if device else "cpu",
        only=kept,
        targets=kept if kept and models else tuple(config.getini("modelport_targets")),
        benchmark=bool(config.getoption("modelport_benchmark")),
        baseline=last(config),
        release=new(config),
        reports=_reports(config),
        shard=_shard(config),
        in_process=bool(config.getoption("modelport_in_process")),
        keep=_keep(config),
        arguments=_arguments(config),
    )


def _arguments(config: pytest.Config) -> dict[str, Any]:
    """What the run says of the fixture's arguments. `request.options.Options` has the defaults."""
    said = {
        "timeout": _seconds(config, "modelport_timeout"),
        "examples": _examples(config),
        "search_seconds": _seconds(config, "modelport_search_seconds"),
        "replay": _replay(config),
        "rtol": _number(config, "modelport_rtol"),
        "atol": _number(config, "modelport_atol"),
    }
    return {name: value for name, value in said.items() if value is not None}


def _keep(config: pytest.Config) -> Keep:
    """Which folders are left behind: never more than pytest keeps of its own."""
    given = str(config.getini("modelport_keep")).strip()
    if given not in ("failed", "all", "none"):
        raise pytest.UsageError(f"modelport_keep is {given!r}: give failed, all or none")
    return cast("Keep", "none" if _pytest_keeps_nothing(config) else given)


def _pytest_keeps_nothing(config: pytest.Config) -> bool:
    """Whether pytest removes its temporary folder whatever becomes of the tests."""
    if not config.pluginmanager.hasplugin("tmpdir") or config.getoption("basetemp") is not None:
        return False
    count = str(config.getini("tmp_path_retention_count")).strip()
    return config.getini("tmp_path_retention_policy") == "none" or count == "0"


def _replay(config: pytest.Config) -> Mapping[str, Any] | None:
    text = config.getoption("modelport_replay")
    if not text:
        return None
    from pytest_modelport.core.errors import UsageError
    from pytest_modelport.request.recipes import parse

    try:
        return parse(text)
    except UsageError as error:
        raise pytest.UsageError(f"--modelport-replay: {error}") from None


def _reports(config: pytest.Config) -> tuple[Path, ...]:
    from pytest_modelport.core.errors import UsageError

    names = config.getoption("modelport_report")
    if not names:
        return ()
    from pytest_modelport.reports.write import checked

    try:
        paths = tuple(Path(config.invocation_params.dir, checked(Path(name))) for name in names)
    except UsageError as error:
        raise pytest.UsageError(f"--modelport-report: {error}") from None
    return paths


def forget_reports(config: pytest.Config) -> None:
    """Remove a former run's reports before anything of this one can fail: they must not be taken
    for its own.
    """
    names = getattr(config.known_args_namespace, "modelport_report", ())
    if not names:
        return
    from pytest_modelport.reports.write import FORMS

    for name in names:
        path = Path(config.invocation_params.dir, name)
        if path.suffix in FORMS and path.is_file():
            with contextlib.suppress(OSError):
                path.unlink()


def _shard(config: pytest.Config) -> str:
    given = str(config.getoption("modelport_shard"))
    match = re.fullmatch(r"(\d+)/(\d+)", given)
    if given and (match is None or not 1 <= int(match[1]) <= int(match[2])):
        raise pytest.UsageError(
            f"--modelport-shard is {given!r}: give part and number of parts, 2/4"
        )
    return f"{int(match[1])}/{int(match[2])}" if match else given


def _examples(config: pytest.Config) -> int | None:
    given = config.getoption("modelport_examples")
    text = str(config.getini("modelport_examples") if given is None else given).strip()
    text = str(PROFILES.get(text, text))
    if given is None and not text:
        return None
    if not text.isdigit():
        raise pytest.UsageError(
            f"modelport_examples is {text!r}: give a whole number, or {' or '.join(PROFILES)}"
        )
    return int(text)


def _seconds(config: pytest.Config, name: str) -> float | None:
    """An option, else a line in the ini file."""
    seconds = _number(config, name, config.getoption(name, default=None))
    if seconds is not None and not seconds > 0:
        raise pytest.UsageError(f"{name} is {seconds:g}: give a positive number of seconds")
    return seconds


def _checked_device(name: str) -> str:
    from pytest_modelport.core.errors import UsageError
    from pytest_modelport.engine.resolve import device_of

    try:
        return device_of(name)
    except UsageError as error:
        raise pytest.UsageError(f"--modelport-device: {error}") from None


def _checked_targets(names: str) -> tuple[str, ...]:
    from pytest_modelport.backends import registry
    from pytest_modelport.core.errors import UsageError
    from pytest_modelport.core.target import listed

    try:
        return tuple(registry.canonical(name) for name in listed(names))
    except UsageError as error:
        raise pytest.UsageError(f"--modelport-targets: {error}") from None


def _number(config: pytest.Config, name: str, given: str | None = None) -> float | None:
    text = str(config.getini(name) if given is None else given).strip()
    try:
        return float(text) if text else None
    except ValueError:
        raise pytest.UsageError(f"{name} is {text!r}: give a number") from None
