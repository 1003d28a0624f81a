"""Evaluations of one subject, each in a fork of its own that starts from the state it has now."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pytest_modelport.core.sample import Call
from pytest_modelport.isolation.jobs import Ending, run_all

if TYPE_CHECKING:
    from torch import nn

Job = Callable[[], Any]


@dataclass(frozen=True, eq=False)
class SubjectJobs:
    """Runs functions of `evaluate`. scratch: where they write their files. timeout: seconds for
    each.
    """

    module: nn.Module
    device: str
    scratch: Path
    timeout: float

    def job(
        self, file: str, evaluation: Callable[..., Any], calls: Sequence[Call], **options: Any
    ) -> Job:
        """One evaluation that writes to `file`, not begun yet."""
        from pytest_modelport.core.tensors import eagerly

        def job() -> Any:
            with eagerly():
                return evaluation(self.module, calls, self.device, self.scratch / file, **options)

        return job

    def run(self, jobs: Sequence[Job]) -> list[Ending]:
        """All at the same time."""
        from pytest_modelport.subject.modules import paths

        log = self.scratch / "reference.log"
        return run_all(
            jobs, timeout=self.timeout, log=log, paths=paths(self.module), restore=self.module
        )

    def run_one(
        self, file: str, evaluation: Callable[..., Any], calls: Sequence[Call], **options: Any
    ) -> Ending:
        """One evaluation that writes to `file`."""
        return self.run([self.job(file, evaluation, calls, **options)])[0]
