"""Files of strangers are looked through in a process of its own, with limits of time and memory:
what is small on the disk may be large inside.
"""

from __future__ import annotations

import resource
from pathlib import Path

from pytest_modelport.cleanroom.workspace import log_of
from pytest_modelport.isolation.jobs import Crashed, Done, Ending, Raised, TimedOut, forks, run
from pytest_modelport.workbench.safety import dangers

#: Bytes that looking may take beside what the process holds, and that for each byte of a file: an
#: archive is held, and one of its members beside it.
_MEMORY, _EACH = 1 << 30, 4


def looked_through(folder: Path, *, timeout: float, here: bool = False) -> list[str]:
    """Why an artifact must not be opened; empty when nothing speaks against it. What cannot be
    looked through in time, or in the memory that it may take, must not. here: without the process,
    for a debugger.
    """
    largest = max((file.stat().st_size for file in folder.rglob("*") if file.is_file()), default=0)

    def job() -> list[str]:
        if not here and forks():
            _limit(_MEMORY + _EACH * largest)
        return dangers(folder)

    log = log_of(folder)
    ending = run(job, timeout=timeout, log=log, here=here)
    if isinstance(ending, Done):
        return list(ending.value)
    return [f"it cannot be looked through: {_said(ending)}"]


def _said(ending: Ending) -> str:
    if isinstance(ending, TimedOut):
        return f"that takes more than {ending.seconds:g} s"
    if isinstance(ending, Crashed):
        return f"that ends in {ending.signal}"
    if isinstance(ending, Raised) and ending.cause.type == MemoryError.__name__:
        return f"that takes more than {_MEMORY >> 30} GB"
    return ending.cause.headline if isinstance(ending, Raised) else ""


def _limit(more: int) -> None:
    """Let this process grow by so many bytes (Linux, where it says how large it is)."""
    now = Path("/proc/self/statm")
    if now.exists():
        pages = int(now.read_text().split()[0])
        _, hard = resource.getrlimit(resource.RLIMIT_AS)
        resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + more, hard))
