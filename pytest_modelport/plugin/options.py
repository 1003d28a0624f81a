"""Command line and ini options, frozen once."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from pytest_modelport.core.route import DEFAULT_TARGETS
from pytest_modelport.plugin.gather import is_worker
from pytest_modelport.plugin.releases import last, new
from pytest_modelport.plugin.settings import Settings

#: How many samples the check `shapes` makes, by the kind of run.
PROFILES = {"ci": 50, "nightly": 200}
#: Short names that other plugins and conftest files like too: added only when they are free.
_ALIASES = {
    "--device": "modelport_device",
    "--targets": "modelport_targets",
    "--benchmark": "modelport_benchmark",
}


def add(parser: pytest.Parser) -> None:
    """Register every option under its own name."""
    group = parser.getgroup(
        "modelport", "modelport: does the deployed model still answer as the PyTorch model does?"
    )
    group.addoption(
        "--modelport-targets",
        dest="modelport_targets",
        metavar="NAMES",
        help="only these targets, comma separated (also --targets)",
    )
    group.addoption(
        "--modelport-device",
        dest="modelport_device",
        metavar="DEVICE",
        help="device of tests that name none: cpu, cuda, cuda:1 (also --device)",
    )
    group.addoption(
        "--portable-model",
        dest="portable_models",
        metavar="MODEL",
        action="append",
        default=[],
        help="prove this model without a test file: package.module:factory or "
        "transformers:BertConfig?tiny; may be repeated",
    )
    group.addoption(
        "--modelport-strict", action="store_true", help="skipped and inconclusive routes fail"
    )
    group.addoption(
        "--modelport-in-process",
        action="store_true",
        help="export and run in this process, for a debugger: "
        "no time limits, and a crash ends the run",
    )
    group.addoption(
        "--modelport-report",
        metavar="FILE",
        action="append",
        default=[],
        help="write the verdicts of the run: FILE.json, .html, .md or .svg (a badge); "
        "may be repeated",
    )
    group.addoption(
        "--modelport-shard",
        metavar="I/N",
        default="",
        help="this run is part I of N, for `modelport merge`",
    )
    _add_search(group)
    _add_budgets(group)
    parser.addini(
        "modelport_examples", "samples that the check `shapes` makes for each model", default=""
    )
    parser.addini(
        "modelport_search_seconds",
        "seconds for the samples of the check `shapes`, each time",
        default="",
    )
    parser.addini(
        "modelport_targets",
        "targets of portable tests that name none",
        type="args",
        default=list(DEFAULT_TARGETS),
    )
    parser.addini(
        "modelport_timeout",
        "seconds for each export, opening and call",
        default="",
    )
    parser.addini(
        "modelport_rtol", "relative tolerance instead of the measured allowance", default=""
    )
    parser.addini(
        "modelport_atol", "absolute tolerance instead of the measured allowance", default=""
    )


def _add_search(group: Any) -> None:
    """Options of the check `shapes`."""
    group.addoption(
        "--modelport-examples",
        metavar="N",
        help="samples that the check `shapes` makes for each model (25; 0 for none): a number, "
        "ci (50) or nightly (200)",
    )
    group.addoption(
        "--modelport-search-seconds",
        metavar="SECONDS",
        help="for the model to try those samples, for each exported model, to judge its answers, "
        "and to shrink what fails (120)",
    )
    group.addoption(
        "--modelport-replay",
        metavar="RECIPE",
        default="",
        help="let the check `shapes` make just this sample: the line of JSON that a failure prints",
    )


def _add_budgets(group: Any) -> None:
    """Options of what a port may cost, and of releases."""
    group.addoption(
        "--modelport-benchmark",
        dest="modelport_benchmark",
        action="store_true",
        help="ask every portable test how long its calls take, too (also --benchmark)",
    )
    group.addoption(
        "--modelport-baseline",
        metavar="DIR[@ENV]",
        help="the last release, or none: its artifacts are timed beside the new ones where a "
        "budget says max_regression; in an environment of their own where one is named",
    )
    group.addoption(
        "--modelport-release",
        metavar="DIR",
        help="a new folder, for every artifact whose route passed and nothing else",
    )


def add_aliases(parser: pytest.Parser) -> None:
    """Add the short names that nobody else has claimed, after every conftest has been loaded."""
    group = parser.getgroup("modelport")
    for name, dest in _ALIASES.items():
        if _free(parser, name):
            flag = dest == "modelport_benchmark"
            extra: dict[str, Any] = {"action": "store_true"} if flag else {"metavar": "VALUE"}
            group.addoption(name, dest=dest, help=f"same as --{dest.replace('_', '-')}", **extra)


def _free(parser: pytest.Parser, name: str) -> bool:
    """Whether nobody has defined this option yet, not even with a value."""
    _, unknown = parser.parse_known_and_unknown_args([f"{name}=x"])
    return f"{name}=x" in unknown


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
    if not is_worker(config):
        for path in filter(Path.is_file, paths):  # a former run's must not be taken for this one's
            with contextlib.suppress(OSError):
                path.unlink()
    return paths


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
