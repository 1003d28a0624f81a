"""Whether a route can be run here at all: packages present and sound, device there."""

from __future__ import annotations

import contextlib
import importlib
from collections.abc import Mapping
from pathlib import Path

from pytest_modelport import shelf
from pytest_modelport.bench import Bench
from pytest_modelport.cleanroom.room import RoomEnded
from pytest_modelport.contract import is_live
from pytest_modelport.isolate import Done, Raised, run
from pytest_modelport.route import Route
from pytest_modelport.verdict import Outcome, Stage, Verdict
from pytest_modelport.workspace import Workspace


def unavailable(bench: Bench) -> Verdict | None:
    """The verdict of a route that cannot be run here; None when it can."""
    maker, opener = shelf.format_(bench.format), shelf.runtime(bench.runtime)
    kind = bench.route.device.partition(":")[0]

    def verdict(outcome: Outcome, stage: Stage, reason: str) -> Verdict:
        return bench.verdict("parity", stage, outcome, reason)

    brought = bench.case.artifact is not None
    absent = shelf.missing(opener.REQUIRES if brought else {**maker.REQUIRES, **opener.REQUIRES})
    if absent:
        return verdict(
            Outcome.SKIPPED,
            Stage.EXPORT,
            f"not installed: {', '.join(absent)}; {shelf.install(maker.EXTRA or opener.EXTRA, absent)}",
        )
    for name, devices in ((bench.format, maker.DEVICES), (bench.runtime, opener.DEVICES)):
        if kind not in devices:
            return verdict(Outcome.SKIPPED, Stage.OPEN, f"{name} does not run on {kind}, only on {', '.join(devices)}")
    lacking = maker.absent(bench.options) if hasattr(maker, "absent") and not brought else ""
    if lacking:
        return verdict(Outcome.SKIPPED, Stage.EXPORT, lacking)
    if kind != "cpu":
        reason = bench.workspace.once(("device", bench.route.device), lambda: _no_device(bench))
        if reason:
            return verdict(Outcome.SKIPPED, Stage.OPEN, reason)
    preload(bench.workspace, bench.route, bench.case.threads)
    broken = "" if brought else _broken(maker.REQUIRES)
    if broken:
        return verdict(Outcome.ERROR, Stage.EXPORT, broken)
    if hasattr(maker, "warm") and not brought:
        bench.workspace.once(("warm", bench.format), maker.warm)
    return None


def preload(workspace: Workspace, route: Route, threads: int) -> None:
    """Let the clean room import what the route's runtime needs, while this process does something else."""
    name = shelf.target(route.target).runtime
    opener = shelf.runtime(name)

    def start() -> None:
        with contextlib.suppress(RoomEnded):  # a room that cannot start says so when it is needed
            workspace.room(threads).start([*opener.REQUIRES, *getattr(opener, "PRELOAD", ())])

    if not is_live(opener) and not shelf.missing(opener.REQUIRES):
        workspace.once(("preload", name, threads), start)


def _broken(requires: Mapping[str, str]) -> str:
    """Import what the export needs, here, so that every fork has it; says what is installed and does not import."""
    for module in requires:
        try:
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
