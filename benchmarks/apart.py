"""A question answered in a process of its own: it may crash, hang, and print what it likes."""

from __future__ import annotations

import logging
import multiprocessing
import warnings
from collections.abc import Callable
from typing import Any

import torch


def apart(job: Callable[[], Any], *, seconds: float = 300, instead: Any) -> Any:
    """What `job` returns; `instead` when its process ends without an answer."""
    context = multiprocessing.get_context("fork")
    queue = context.SimpleQueue()

    def quiet() -> None:
        logging.disable(logging.CRITICAL)
        warnings.simplefilter("ignore")
        torch.set_num_threads(1)  # OpenMP hangs in the fork of a process that has used several
        queue.put(job())

    process = context.Process(target=quiet)
    process.start()
    process.join(seconds)
    process.kill()
    return instead if queue.empty() else queue.get()
