"""The section after the run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pytest_modelport.core.verdict import Verdict


def write(terminal: Any, rows: Sequence[Mapping[str, Any]]) -> None:
    """Print the matrix of all verdicts, the workers' included."""
    from pytest_modelport.reports.terminal import render

    terminal.section("modelport", sep="=")
    writer = terminal._tw
    terminal.write_line(
        render(
            [Verdict.from_dict(row) for row in rows], width=writer.fullwidth, color=writer.hasmarkup
        )
    )
