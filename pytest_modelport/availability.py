"""Whether a route can be run here at all: packages present and sound, device there."""

from __future__ import annotations

import contextlib
import importlib
import warnings
from collections.abc import Mapping
from pathlib import Path

from pytest_modelport import shelf
from pytest_modelport.bench import Bench
from pytest_modelport.cleanroom.room import RoomEnded
from pytest_modelport.contract import is_live
from pytest_modelport.isolate import Done, Raised, run
from pytest_modelport.route import Route
from pytest_modelport.stopped import stopped
from pytest_modelport.verdict import Outcome, Stage, Verdict
from pytest_modelport.workspace import Workspace


def unavailable(bench: Bench) -> Verdict | None:
    """The verdict of a route that cannot be run here; None when it can."""
    return _not_installed(bench) or _no_place(bench) or _unready(bench)


def _not_installed(bench: Bench) -> Verdict | None:
    """Packages, or the environment, that the route needs and that are not there."""
    maker, opener = shelf.format_(bench.format), shelf.runtime(bench.runtime)
    for name in filter(None, ("" if _brought(bench) else shelf.home(maker), bench.environment)):
        if not bench.workspace.environment(name).packages:
            reason = f"environment {name} is not there: modelport env create {name}"
            return bench.verdict("parity", Stage.OPEN, Outcome.SKIPPED, reason)
    changed = [move.transform for move in bench.moves]
    absent, command = shelf.lacking(*([] if _brought(bench) else [maker]), *([] if bench.environment else [opener]), *changed)
    if not absent:
        return None
    return bench.verdict("parity", Stage.EXPORT, Outcome.SKIPPED, f"not installed: {absent}; {command}")


def _no_place(bench: Bench) -> Verdict | None:
    """A device that is not there or not theirs, or a tool of the system that the export needs."""
    maker, kind = shelf.format_(bench.format), bench.route.device.partition(":")[0]
    for name, devices in ((bench.format, maker.DEVICES), (bench.runtime, shelf.runtime(bench.runtime).DEVICES)):
        if kind not in devices:
            reason = f"{name} does not run on {kind}, only on {', '.join(devices)}"
            return bench.verdict("parity", Stage.OPEN, Outcome.SKIPPED, reason)
    lacking = maker.absent(bench.options) if hasattr(maker, "absent") and not _brought(bench) else ""
    if lacking:
        return bench.verdict("parity", Stage.EXPORT, Outcome.SKIPPED, lacking)
    reason = "" if kind == "cpu" else bench.workspace.once(("device", bench.route.device), lambda: _no_device(bench))
    return bench.verdict("parity", Stage.OPEN, Outcome.SKIPPED, reason) if reason else None


def _unready(bench: Bench) -> Verdict | None:
    """What is there and does not work."""
    maker = shelf.format_(bench.format)
    preload(bench.workspace, bench.route, bench.case.threads)
    lacking = _lacking(bench) if bench.environment else ""
    if lacking:
        return bench.verdict("parity", Stage.OPEN, Outcome.ERROR, lacking)
    broken = "" if _brought(bench) else _broken(maker.REQUIRES)
    if broken:
        return bench.verdict("parity", Stage.EXPORT, Outcome.ERROR, broken)
    if hasattr(maker, "warm") and not _brought(bench):
        bench.workspace.once(("warm", bench.format), maker.warm)
    return None


def _brought(bench: Bench) -> bool:
    return bench.case.artifact is not None


def preload(workspace: Workspace, route: Route, threads: int) -> None:
    """Let the clean room import what the route's runtime needs, while this process does something else."""
    target = shelf.target(route.target)
    opener = shelf.runtime(target.runtime)

    def start() -> None:
        with contextlib.suppress(RoomEnded):  # a room that cannot start says so when it is needed
            workspace.room(threads, target.environment).start([*opener.REQUIRES, *getattr(opener, "PRELOAD", ())])

    if target.environment:
        there = bool(workspace.environment(target.environment).packages)
    else:
        there = not shelf.missing(opener.REQUIRES)
    if there and not is_live(opener):
        workspace.once(("preload", target.runtime, target.environment, threads), start)


def _lacking(bench: Bench) -> str:
    """What an environment that is there does not have of the runtime; empty when it has all."""
    where = bench.workspace.environment(bench.environment)
    try:
        reply = bench.workspace.room(bench.case.threads, where.name).request(
            bench.case.timeout, op="missing", requires=dict(shelf.runtime(bench.runtime).REQUIRES)
        )
    except RoomEnded as ended:
        return f"environment {where.name} does not work: {stopped(Stage.OPEN, ended.ending, 'its clean room').reason}"
    missing = ", ".join(reply["missing"])
    return f"environment {where.name} lacks {missing}: add it to tool.modelport.environments.{where.name}" if missing else ""


def _broken(requires: Mapping[str, str]) -> str:
    """Import what the export needs, here, so that every fork has it; says what is installed and does not import."""
    for module in requires:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # under pytest's `filterwarnings = error` advice would end the import
                importlib.import_module(module)
        except Exception as error:  # noqa: BLE001 - a broken package raises anything; its own message is the verdict
            return f"{module} is installed and does not import: {type(error).__name__}: {error}"
    return ""


def _no_device(bench: Bench) -> str:
    """Why the device cannot be used; empty when it can. Asked in a fork: asking may initialise a driver."""
    device = bench.route.device

    def job() -> str:
        import torch

        kind, _, index = device.partition(":")
        module = getattr(torch, kind, None)
        if module is None or not module.is_available():
            return f"no {kind} device: torch {torch.__version__} sees none"
        count = module.device_count()
        return f"no {device}: torch sees {count} {kind} device{'s' * (count != 1)}" if index and int(index) >= count else ""

    ending = run(job, timeout=bench.case.timeout, log=Path(bench.workspace.folder) / "device.log")
    if isinstance(ending, Done):
        return str(ending.value)
    return f"{device} cannot be asked for: {ending.cause.headline if isinstance(ending, Raised) else type(ending).__name__}"
