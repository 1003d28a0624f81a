"""Who else runs on this machine's processors, and several threads of torch's in a fork.

libgomp keeps a pool of threads for each thread that has asked for one. The main thread of a fork
has a pool whose threads are still in the parent, and waits for them for ever; a thread that the
fork has started gets a pool of its own.
"""

from __future__ import annotations

import contextvars
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import TypeVar

T = TypeVar("T")


def xdist_workers() -> int:
    """How many of pytest-xdist's workers share this machine, this process included; 1 without
    xdist.
    """
    return int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))


def on_threads(job: Callable[[], T], count: int) -> T:
    """`job()` where torch may use `count` threads: a new thread that is in the modes this one is
    in. Raises what it raises.

    For a fork whose torch runs one thread: with a count of 1, `job()` itself.
    """
    if count == 1:
        return job()
    import torch
    from torch.overrides import _get_current_function_mode_stack as modes

    functions, inference, gradients = (
        modes(),
        torch.is_inference_mode_enabled(),
        torch.is_grad_enabled(),
    )
    context = contextvars.copy_context()

    def inner() -> T:
        torch.set_num_threads(count)
        with (
            ExitStack() as stack,
            torch.inference_mode(inference),
            torch.set_grad_enabled(gradients),
        ):
            for mode in functions:
                stack.enter_context(mode)
            return context.run(job)

    with ThreadPoolExecutor(1) as pool:
        return pool.submit(inner).result()
