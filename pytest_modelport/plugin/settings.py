"""What the user set for the whole run, frozen."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pytest_modelport.cleanroom.workspace import Keep
    from pytest_modelport.request.budgets import Baseline


@dataclass(frozen=True)
class Settings:
    """What the user set for the whole run.

    models: to prove without a test file. only: targets to keep, None for all. device: replaces the
    default device. targets: of tests whose marker names none. in_process: export and run ports
    here, for a debugger. arguments: what the run says of the fixture's arguments, where a call does
    not. benchmark: ask for the check `latency` too. baseline: the last release. release: where this
    one is written. reports: files to write at the end. shard: which part of the suite this run is,
    `2/4`. keep: which folders are left behind.
    """

    models: tuple[str, ...]
    strict: bool
    device: str
    only: tuple[str, ...] | None
    targets: tuple[str, ...]
    benchmark: bool
    baseline: Baseline | None
    release: Path | None
    reports: tuple[Path, ...]
    shard: str
    in_process: bool
    keep: Keep
    arguments: Mapping[str, Any]
