"""Whether a route can be run here at all: packages present and sound, device there."""

from __future__ import annotations

import contextlib
import functools
import importlib
import warnings
from collections.abc import Mapping
from pathlib import Path

from pytest_modelport.backends import registry, requirements
from pytest_modelport.backends.contract import is_live
from pytest_modelport.cleanroom.room import RoomEnded
from pytest_modelport.cleanroom.workspace import Workspace
from pytest_modelport.core.errors import BrokenItem
from pytest_modelport.core.route import Route
from pytest_modelport.core.verdict import Outcome, Stage, Verdict
from pytest_modelport.isolation.jobs import Done, Raised, run
from pytest_modelport.isolation.stops import stop_for
from pytest_modelport.workbench.workbench import Workbench


def unavailable(workbench: Workbench) -> Verdict | None:
    """The verdict of a route that cannot be run here; None when it can."""
    return _not_installed(workbench) or _no_place(workbench) or _unready(workbench)


def _not_installed(workbench: Workbench) -> Verdict | None:
    """Packages, or the environment, that the route needs and that are not there."""
    maker, opener = registry.format_(workbench.format), registry.runtime(workbench.runtime)
    for name in filter(
        None, ("" if _brought(workbench) else registry.home(maker), workbench.environment)
    ):
        if not workbench.workspace.environment(name).packages:
            reason = f"environment {name} is not there: modelport env create {name}"
            return workbench.verdict("parity", Stage.OPEN, Outcome.SKIPPED, reason)
    changed = [transform.item for transform in workbench.transforms]
    absent, command = requirements.lacking(
        *([] if _brought(workbench) else [maker]),
        *([] if workbench.environment else [opener]),
        *changed,
    )
    if not absent:
        return None
    return workbench.verdict(
        "parity", Stage.EXPORT, Outcome.SKIPPED, f"not installed: {absent}; {command}"
    )


def _no_place(workbench: Workbench) -> Verdict | None:
    """A device that is not there or not theirs, or a tool of the system that the export needs."""
    maker, kind = registry.format_(workbench.format), workbench.route.device.partition(":")[0]
    for name, devices in (
        (workbench.format, maker.DEVICES),
        (workbench.runtime, registry.runtime(workbench.runtime).DEVICES),
    ):
        if kind not in devices:
            reason = f"{name} does not run on {kind}, only on {', '.join(devices)}"
            return workbench.verdict("parity", Stage.OPEN, Outcome.SKIPPED, reason)
    lacking = ""
    if hasattr(maker, "absent") and not _brought(workbench):
        lacking = registry.call("formats", workbench.format, "absent", workbench.options)
    if lacking:
        return workbench.verdict("parity", Stage.EXPORT, Outcome.SKIPPED, lacking)
    if kind == "cpu":
        return None
    key = "device", workbench.route.device
    reason = workbench.workspace.once_per_run(key, lambda: _no_device(workbench))
    return workbench.verdict("parity", Stage.OPEN, Outcome.SKIPPED, reason) if reason else None


def _unready(workbench: Workbench) -> Verdict | None:
    """What is there and does not work."""
    maker = registry.format_(workbench.format)
    preload(workbench.workspace, workbench.route, workbench.case.threads)
    lacking = _lacking(workbench) if workbench.environment else ""
    if lacking:
        return workbench.verdict("parity", Stage.OPEN, Outcome.ERROR, lacking)
    broken = "" if _brought(workbench) else _broken(maker.REQUIRES)
    if broken:
        return workbench.verdict("parity", Stage.EXPORT, Outcome.ERROR, broken)
    if hasattr(maker, "warm") and not _brought(workbench):
        warm = functools.partial(registry.call, "formats", workbench.format, "warm")
        workbench.workspace.once_per_run(("warm", workbench.format), warm)
    return None


def _brought(workbench: Workbench) -> bool:
    return workbench.case.artifact is not None


def preload(workspace: Workspace, route: Route, threads: int) -> None:
    """Let the clean room import what the route's runtime needs, while this process does something
    else.
    """
    try:
        target = registry.target(route.target)
        opener = registry.runtime(target.runtime)
    except BrokenItem:  # its route says why
        return

    def start() -> None:
        with contextlib.suppress(RoomEnded):  # a room that cannot start says so when it is needed
            workspace.room(threads, target.environment).start(
                [*opener.REQUIRES, *getattr(opener, "PRELOAD", ())]
            )

    if target.environment:
        there = bool(workspace.environment(target.environment).packages)
    else:
        there = not requirements.missing(opener.REQUIRES)
    if there and not is_live(opener):
        workspace.once_per_run(("preload", target.runtime, target.environment, threads), start)


def _lacking(workbench: Workbench) -> str:
    """What an environment that is there does not have of the runtime; empty when it has all."""
    where = workbench.workspace.environment(workbench.environment)
    try:
        reply = workbench.workspace.room(workbench.case.threads, where.name).request(
            workbench.case.timeout,
            op="missing",
            requires=dict(registry.runtime(workbench.runtime).REQUIRES),
        )
    except RoomEnded as ended:
        reason = stop_for(Stage.OPEN, ended.ending, "its clean room").reason
        return f"environment {where.name} does not work: {reason}"
    missing, table = ", ".join(reply["missing"]), f"tool.modelport.environments.{where.name}"
    return f"environment {where.name} lacks {missing}: add it to {table}" if missing else ""


def _broken(requires: Mapping[str, str]) -> str:
    """Import what the export needs, here, so that every fork has it; says what is installed and
    does not import.
    """
    for module in requires:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter(
                    "ignore"
                )  # under pytest's `filterwarnings = error` advice would end the import
                importlib.import_module(module)
        except Exception as error:  # noqa: BLE001 - a broken package raises anything; its own message is the verdict
            return f"{module} is installed and does not import: {type(error).__name__}: {error}"
    return ""


def _no_device(workbench: Workbench) -> str:
    """Why the device cannot be used; empty when it can. Asked in a fork: asking may initialise a
    driver.
    """
    device = workbench.route.device

    def job() -> str:
        import torch

        kind, _, index = device.partition(":")
        module = getattr(torch, kind, None)
        if module is None or not module.is_available():
            return f"no {kind} device: torch {torch.__version__} sees none"
        count = module.device_count()
        return (
            f"no {device}: torch sees {count} {kind} device{'s' * (count != 1)}"
            if index and int(index) >= count
            else ""
        )

    ending = run(
        job, timeout=workbench.case.timeout, log=Path(workbench.workspace.folder) / "device.log"
    )
    if isinstance(ending, Done):
        return str(ending.value)
    reason = ending.cause.headline if isinstance(ending, Raised) else type(ending).__name__
    return f"{device} cannot be asked for: {reason}"
