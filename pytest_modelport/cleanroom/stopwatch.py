"""Timing calls where they are made: wall clock, processor time, and whether the machine took the
processor away.
"""

from __future__ import annotations

import contextlib
import gc
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pytest_modelport.backends.contract import Session
from pytest_modelport.core.feed import Feed

try:
    import resource
except ImportError:  # Windows keeps no such count
    resource = None  # type: ignore[assignment]


@dataclass(frozen=True)
class Lap:
    """One call. wall, cpu: seconds, by one clock for all processes of the machine. preempted: how
    often it had to wait.

    gpu: seconds by a GPU's own events, where the runtime lets them be recorded.
    """

    wall: float
    cpu: float
    preempted: int
    gpu: float | None = None

    def to_list(self) -> list[Any]:
        return [self.wall, self.cpu, self.preempted, self.gpu]


def prepared(session: Session, feed: Feed) -> Callable[[], Any]:
    """The bare call of a session with these inputs, without what Modelport does around it where the
    runtime offers that.
    """
    prepare = getattr(session, "prepare", None)
    if prepare is None:
        return lambda: session.run(feed)
    call: Callable[[], Any] = prepare(feed)
    return call


def laps(call: Callable[[], Any], count: int, warm: int = 0) -> list[Lap]:
    """Time `count` calls after `warm` others. The garbage collector waits meanwhile."""
    collecting = gc.isenabled()
    gc.disable()
    try:
        for _ in range(warm):
            call()
        return [_lap(call) for _ in range(count)]
    finally:
        if collecting:
            gc.enable()


def _lap(call: Callable[[], Any]) -> Lap:
    waited, cpu, started = _waited(), time.process_time_ns(), time.perf_counter_ns()
    call()
    ended, cpu_ended = time.perf_counter_ns(), time.process_time_ns()
    gpu = getattr(call, "seconds", None)
    return Lap((ended - started) / 1e9, (cpu_ended - cpu) / 1e9, _waited() - waited, gpu)


def memory() -> tuple[int, int]:
    """Bytes that this process has in memory now, and had at most since this was asked last.

    Where the system does not let the highest value be forgotten, it is that of the process's whole
    life. Raises `OSError` where the system does not say (anything but Linux).
    """
    rows = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    now, peak = (int(rows[key].split()[0]) * 1024 for key in ("VmRSS", "VmHWM"))
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")
    return now, peak


def allocated(device: str) -> int | None:
    """Bytes that torch's allocator held on a GPU at most since this was asked last; None where
    torch is not in use there.

    What a runtime takes of the GPU without torch's allocator, and CUDA's own context, is not in
    it.
    """
    torch = sys.modules.get("torch")
    if torch is None or not device.startswith("cuda") or not torch.cuda.is_initialized():
        return None
    peak = int(torch.cuda.max_memory_allocated(device))
    torch.cuda.reset_peak_memory_stats(device)
    return peak


def _waited() -> int:
    """Involuntary context switches of this process so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_nivcsw if resource else 0
