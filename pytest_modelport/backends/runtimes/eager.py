"""The model itself, in eager mode: what latency is compared with. No target opens in it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from pytest_modelport.backends.contract import Subject
from pytest_modelport.backends.session_options import SessionOptions
from pytest_modelport.core.artifact import Manifest
from pytest_modelport.core.feed import Answer, Feed

REQUIRES = {"torch": "torch"}
DEVICES = ("cpu", "cuda", "mps", "xpu")
OPENS = ()
EXTRA = ""
LIVE = True


class EagerSession:
    """Calls the subject with the sample it is exported with."""

    def __init__(self, session_options: SessionOptions, subject: Subject) -> None:
        import torch

        from pytest_modelport.backends.kit.torch_session import rounding
        from pytest_modelport.core.tensors import fresh
        from pytest_modelport.subject.modules import placed

        torch.set_num_threads(session_options.threads)
        self._module = placed(subject.module, session_options.device)
        self._sample = fresh(subject.inputs.sample, session_options.device)
        self._device = session_options.device
        self.options = {
            "device": session_options.device,
            "intra_op_threads": session_options.threads,
            "torch": torch.__version__,
        }
        self.options |= rounding(session_options.device)

    def prepare(self, feed: Feed) -> Callable[[], Any]:  # noqa: ARG002 - the subject's own sample, which has its containers
        """The call alone."""
        import torch

        from pytest_modelport.backends.kit.torch_session import completed

        def call() -> Any:
            with torch.no_grad():
                return self._module(*self._sample.args, **self._sample.kwargs)

        return completed(call, self._device)

    def run(self, feed: Feed) -> Answer:  # noqa: ARG002 - no feed is asked
        """Raises `TypeError`: the subject's answers are the reference's business."""
        raise TypeError("eager is only timed here; its answers come from the reference")


def open(
    folder: Path,  # noqa: ARG001
    manifest: Manifest,  # noqa: ARG001
    session_options: SessionOptions,
    subject: Subject,
) -> EagerSession:
    """The subject, as it is."""
    return EagerSession(session_options, subject)
