"""Hygiene: what does the artifact tell of the machine it was made on, and could it harm whoever opens it?

Asked by name: some formats write the lines and paths of their sources into every file. What could do harm is refused for every
file that is brought, before it is opened.
"""

from __future__ import annotations

from collections.abc import Iterator

from pytest_modelport.bench import Bench
from pytest_modelport.dangers import dangers, leaks
from pytest_modelport.verdict import Outcome, Stage, Verdict

DEFAULT = False
_SHOWN = 5


def run(bench: Bench) -> Iterator[Verdict]:
    """One verdict. Raises `Stopped`."""
    harmful, told = dangers(bench.artifact.folder), leaks(bench.artifact.folder)
    evidence = {"dangers": harmful[:_SHOWN], "leaks": told[:_SHOWN], "count": len(harmful) + len(told)}
    if harmful or told:
        first, more = (harmful or told)[0], len(harmful) + len(told) - 1
        reason = f"{first}" + (f", and {more} more such" if more else "")
        yield bench.verdict("hygiene", Stage.EXPORT, Outcome.FAILED, reason, evidence)
    else:
        files = len(bench.artifact.manifest.files)
        yield bench.verdict("hygiene", Stage.EXPORT, Outcome.PASSED, f"{files} files tell nothing of this machine", evidence)
