"""Parity: does the exported model answer as the model does?"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from pytest_modelport.checks._answers import answers_of
from pytest_modelport.checks._judgement import Judgement
from pytest_modelport.checks._second_runtime import agreement
from pytest_modelport.core.verdict import Verdict
from pytest_modelport.workbench.workbench import Workbench

DEFAULT = True
WHEN = "runs always, unless `checks=` names others"


def run(workbench: Workbench) -> Iterator[Verdict]:
    """One verdict: the worst of all outputs of all calls. Raises `Stop` where the route ends
    earlier.

    A file that was changed after its export is proven in parts: the file as it was exported against
    the subject; then the changed one, which no model answers as, in its structure, and against
    another runtime that computes the same graph.
    """
    before = workbench.exported
    found = _proven(before)
    if found.passed and workbench.reshaped:
        structure = _proven(workbench)
        found = agreement(workbench, found) if structure.passed else structure
        found = replace(
            found, evidence={**found.evidence, **workbench.place}
        )  # what ships is the changed file
    elif found.passed and workbench.route != before.route:
        found = _proven(workbench)
    yield replace(found, route=workbench.route)


def _proven(workbench: Workbench) -> Verdict:
    reference = workbench.reference
    return Judgement(workbench, reference).add_answers(answers_of(workbench, reference)).verdict()
