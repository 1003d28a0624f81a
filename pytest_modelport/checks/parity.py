"""Parity: does the port answer as the subject does?"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from pytest_modelport.asking import asked
from pytest_modelport.bench import Bench
from pytest_modelport.finding import Finding
from pytest_modelport.second import fidelity
from pytest_modelport.verdict import Verdict

DEFAULT = True


def run(bench: Bench) -> Iterator[Verdict]:
    """One verdict: the worst of all outputs of all calls. Raises `Stopped` where the route ends earlier.

    A file that was changed after its export is proven in parts: the file as it was exported against the subject; then the
    changed one, which no model answers as, in its structure, and against another runtime that computes the same graph.
    """
    before = bench.exported
    found = _proven(before)
    if found.passed and bench.reshaped:
        structure = _proven(bench)
        found = fidelity(bench, found) if structure.passed else structure
        found = replace(found, evidence={**found.evidence, **bench.place})  # what ships is the changed file
    elif found.passed and bench.route != before.route:
        found = _proven(bench)
    yield replace(found, route=bench.route)


def _proven(bench: Bench) -> Verdict:
    reference = bench.reference
    return Finding(bench, reference).take(asked(bench, reference)).verdict()
