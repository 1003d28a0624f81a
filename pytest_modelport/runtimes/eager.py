"""The subject itself, in eager mode: what a port's latency is compared with. No target opens in it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from pytest_modelport.artifact import Manifest
from pytest_modelport.contract import Subject
from pytest_modelport.feed import Answer, Feed
from pytest_modelport.setting import Setting

REQUIRES = {"torch": "torch"}
DEVICES = ("cpu", "cuda", "mps", "xpu")
OPENS = ()
EXTRA = ""
LIVE = True


class EagerSession:
    """Calls the subject with the sample it is exported with."""

    def __init__(self, setting: Setting, subject: Subject) -> None:
        import torch

        from pytest_modelport.evaluate import placed
        from pytest_modelport.tensors import fresh
        from pytest_modelport.torchcall import rounding

        torch.set_num_threads(setting.threads)
        self._module = placed(subject.module, setting.device)
        self._sample = fresh(subject.inputs.sample, setting.device)
        self._device = setting.device
        self.options = {"device": setting.device, "intra_op_threads": setting.threads, "torch": torch.__version__}
        self.options |= rounding(setting.device)

    def prepare(self, feed: Feed) -> Callable[[], Any]:  # noqa: ARG002 - the subject's own sample, which has its containers
        """The call alone."""
        import torch

        from pytest_modelport.torchcall import completed

        def call() -> Any:
            with torch.no_grad():
                return self._module(*self._sample.args, **self._sample.kwargs)

        return completed(call, self._device)

    def run(self, feed: Feed) -> Answer:  # noqa: ARG002 - no feed is asked
        """Raises `TypeError`: the subject's answers are the reference's business."""
        raise TypeError("the subject is timed here, not asked")


def open(folder: Path, manifest: Manifest, setting: Setting, subject: Subject) -> EagerSession:  # noqa: ARG001
    """The subject, as it is."""
    return EagerSession(setting, subject)
