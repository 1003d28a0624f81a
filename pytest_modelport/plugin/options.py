"""Command line and ini options, frozen once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from pytest_modelport.core.route import DEFAULT_TARGETS

#: Short names that other plugins and conftest files like too: added only when used and free.
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
    _add_selection(group)
    _add_run(group)
    _add_search(group)
    _add_budgets(group)
    _add_settings(parser)


def _add_selection(group: Any) -> None:
    """Options of which models are asked on which routes."""
    group.addoption(
        "--modelport-targets",
        dest="modelport_targets",
        metavar="NAMES",
        help="only these targets, comma separated (also --targets, where nobody else defines it)",
    )
    group.addoption(
        "--modelport-device",
        dest="modelport_device",
        metavar="DEVICE",
        help="device of tests that name none: cpu, cuda, cuda:1 "
        "(also --device, where nobody else defines it)",
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


def _add_run(group: Any) -> None:
    """Options of how routes are run, and what is written of the run."""
    group.addoption(
        "--modelport-strict", action="store_true", help="let skipped and inconclusive routes fail"
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
        help="run the I-th of N parts of the portable tests, by model; `modelport merge` joins "
        "their reports",
    )


def _add_settings(parser: pytest.Parser) -> None:
    """Settings of the configuration file."""
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
        "modelport_keep",
        "which folders a run leaves behind, of exports, logs and references: failed (of routes "
        "that did not pass), all or none; none where pytest keeps nothing",
        default="failed",
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
        help="also time every portable test: run the check latency "
        "(also --benchmark, where nobody else defines it)",
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
        help="write a new folder with every artifact whose route passed, and nothing else",
    )


def add_aliases(parser: pytest.Parser, args: Sequence[str]) -> None:
    """Add the short names that the command line has and nobody defines, after every conftest has
    been loaded.

    A name that is not used is left to others: a conftest that is loaded later may still define it.
    Whether it is free is asked as pytest itself asks next: by parsing this very command line.
    """
    used = {name for name in map(_option_name, args) if name in _ALIASES}
    if not used:
        return
    try:
        _, unknown = parser.parse_known_and_unknown_args(args)
    except pytest.UsageError:  # pytest says so itself, in a moment
        return
    group = parser.getgroup("modelport")
    for name in used & set(map(_option_name, unknown)):
        dest = _ALIASES[name]
        flag = dest == "modelport_benchmark"
        extra: dict[str, Any] = {"action": "store_true"} if flag else {"metavar": "VALUE"}
        group.addoption(name, dest=dest, help=f"same as --{dest.replace('_', '-')}", **extra)


def _option_name(argument: str) -> str:
    return str(argument).partition("=")[0]
