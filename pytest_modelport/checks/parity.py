"""Parity: does the port answer as the subject does?"""

from __future__ import annotations

from collections.abc import Iterator

from pytest_modelport.bench import Bench
from pytest_modelport.finding import Finding, asked
from pytest_modelport.verdict import Verdict

DEFAULT = True


def run(bench: Bench) -> Iterator[Verdict]:
    """One verdict: the worst of all outputs of all calls. Raises `Stopped` where the route ends earlier."""
    reference = bench.reference
    yield Finding(bench, reference).take(asked(bench, reference)).verdict()
