"""A fork of this process, and what it does first."""

from __future__ import annotations

import contextlib
import faulthandler
import logging
import os
import signal
import sys
import time
import warnings
from pathlib import Path
from typing import IO, Any


def fork() -> int:
    """`os.fork`, the child in a process group of its own. The child calls `enter_child` first."""
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    with warnings.catch_warnings():
        # Python 3.12 warns about every fork of a process with threads. The child uses no lock of
        # theirs and one thread.
        warnings.filterwarnings(
            "ignore", message=".*multi-threaded, use of fork", category=DeprecationWarning
        )
        child = os.fork()
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.setpgid(child, child)  # on both sides: whoever comes first
    return child


def enter_child(parent: int, log: Path) -> None:
    """Make a fork safe: it dies with the session, leaves Ctrl-C to it, prints into its log and runs
    one thread.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent handles Ctrl-C and kills this group
    die_with_parent(parent)
    quiet(log)
    torch = sys.modules.get("torch")
    if torch is not None:
        torch.set_num_threads(1)
    compiling = sys.modules.get("torch._inductor.async_compile")
    if compiling is not None:
        # Its threads stayed in the parent: whoever compiles here would wait for them for ever.
        # torch itself forgets only its processes after a fork (2.13).
        compiling.AsyncCompile.pool.cache_clear()


def quiet(log: Path) -> None:
    """Send everything the child prints, from Python or C, to its log, and crash traces too."""
    file = log.open("a", buffering=1)
    os.dup2(file.fileno(), 1)
    os.dup2(file.fileno(), 2)
    sys.stdout = sys.stderr = file
    for logger in (logging.root, *logging.root.manager.loggerDict.values()):
        for handler in getattr(logger, "handlers", ()):
            if (
                type(handler) is logging.StreamHandler
            ):  # it holds the stream of the time it was made, perhaps a closed one
                handler.stream = file
    say_where(file)


#: What asks a process of ours where it is; Windows has none.
_WHERE: int | None = getattr(signal, "SIGUSR2", None)


def say_where(file: IO[Any]) -> None:
    """From now on this process writes its Python stack to `file` when it crashes, and when it is
    asked (`ask_where`).
    """
    faulthandler.enable(file, all_threads=False)
    if _WHERE is not None:
        faulthandler.register(_WHERE, file, all_threads=False)


def ask_where(process: int, log: Path) -> None:
    """Have a process that hangs write where it is into its log; waits a second for it at most."""
    if _WHERE is None:
        return
    before, deadline = log.stat().st_size, time.monotonic() + 1
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.kill(process, _WHERE)
        while log.stat().st_size == before and time.monotonic() < deadline:
            time.sleep(0.01)
        time.sleep(0.05)  # the rest of what it writes


def die_with_parent(parent: int) -> None:
    """Ask Linux to kill this process when `parent` dies, so that a killed session leaves nothing
    behind.
    """
    if not sys.platform.startswith("linux"):
        return
    import ctypes

    pr_set_pdeathsig = 1
    ctypes.CDLL(None, use_errno=True).prctl(pr_set_pdeathsig, signal.SIGKILL)
    if os.getppid() != parent:  # it died before the request
        os.kill(os.getpid(), signal.SIGKILL)
