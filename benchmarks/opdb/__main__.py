"""Suites of torch and ExecuTorch as subjects, beside plain calls of the same files.

    python -m benchmarks.opdb [--suite operators modules exportdb executorch] [--targets onnx ...]
                              [--samples 2] [--part 1/10] [--results build/opdb.jsonl]
                              [--write docs/measured/opdb.md]

A subject is a module with one of its samples: an operator of torch's `op_db`, a module of its
`module_db`, a case of torch.export's ExportDB, or a model of ExecuTorch's operator suite. Truth: the
exported file, opened by a plain call, answers as eager does by torch.testing.assert_close's defaults.
False green: passed, and wrong by that; false red: failed, and right by that. What has a result in the
file is not asked again, so an interrupted run goes on where it was. The answer `a loss of precision`
stands for what is below those defaults and far beyond the noise: such rows are listed, not counted as
false. No truth: a plain call gives no answer (onnxruntime's `run` has no bfloat16). Where Modelport's
file is wrong, or is none, a plain export is made too: if that is right, the row is listed as well. A
page keeps its sections about suites that were not asked.
"""

from __future__ import annotations

import argparse
import json
import logging
import time
import warnings
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from benchmarks.apart import apart
from benchmarks.opdb import rows as results
from benchmarks.opdb.exports import exported
from benchmarks.opdb.suites import SUITES, Subject
from benchmarks.opdb.truth import CALLS, plain
from pytest_modelport.cleanroom.workspace import Workspace
from pytest_modelport.core.errors import UsageError
from pytest_modelport.core.verdict import Outcome
from pytest_modelport.engine import pipeline
from pytest_modelport.engine.build_case import build_case
from pytest_modelport.engine.resolve import routes_of
from pytest_modelport.request.options import Options

TARGETS = ("onnx", "torchscript", "torch_export")


def asked(workspace: Workspace, subject: Subject, targets: list[str]) -> Iterator[results.Row]:
    """One row for each target."""
    started = time.monotonic()
    for target, said in _said(workspace, subject, targets):
        row = {"suite": subject.suite, "subject": subject.name, "target": target, **said}
        yield {**row, "seconds": round(time.monotonic() - started, 2)}
        started = time.monotonic()


def _said(
    workspace: Workspace, subject: Subject, targets: list[str]
) -> Iterator[tuple[str, results.Row]]:
    options = Options(examples=0, dynamic_shapes=subject.shapes)
    try:
        case = build_case(
            subject.module.eval(), subject.args, subject.kwargs, options, name=subject.name
        )
    except UsageError as error:
        refused = {"outcome": "error", "truth": "no file", "reason": str(error)[:200]}
        yield from ((target, refused) for target in targets)
        return
    for target, route in zip(targets, routes_of(targets, ("none",), ("cpu",)), strict=True):
        verdict = pipeline.prove(workspace, case, route, ["parity"])[0]
        folder = verdict.evidence.get("artifact")
        truth = "no file"
        if folder:
            truth = apart(partial(plain, target, Path(folder), subject), instead="crash")
        said = {"outcome": str(verdict.outcome), "truth": truth, "reason": verdict.reason[:200]}
        if verdict.outcome not in (Outcome.PASSED, Outcome.INCONCLUSIVE) and truth != "right":
            said["export"] = apart(partial(exported, target, subject), instead="crash")
        yield target, said


def subjects(suites: list[str], samples: int, part: str) -> Iterator[Subject]:
    """Every N-th subject of these suites from the I-th on, for the part I/N."""
    first, parts = map(int, part.split("/"))
    every = (subject for suite in suites for subject in SUITES[suite](samples))
    for number, subject in enumerate(every):
        if number % parts == first - 1:
            yield subject


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--suite", nargs="+", choices=SUITES, default=list(SUITES))
    parser.add_argument("--targets", nargs="+", choices=CALLS, default=list(TARGETS))
    parser.add_argument("--samples", type=int, default=2)
    parser.add_argument("--part", default="1/1", help="every N-th subject from the I-th on")
    parser.add_argument("--results", type=Path, default=Path("build/opdb.jsonl"))
    parser.add_argument("--write", type=Path)
    options = parser.parse_args()
    logging.disable(logging.CRITICAL)
    warnings.simplefilter("ignore")
    options.results.parent.mkdir(parents=True, exist_ok=True)
    rows = results.kept(options.results)
    known = {(row["suite"], row["subject"], row["target"]) for row in rows}
    with Workspace(keep="all") as workspace, options.results.open("a") as file:
        for subject in subjects(options.suite, options.samples, options.part):
            key = subject.suite, subject.name
            missing = [target for target in options.targets if (*key, target) not in known]
            for row in asked(workspace, subject, missing) if missing else ():
                file.write(f"{json.dumps(row)}\n")
                file.flush()
                rows.append(row)
    asked_for = [row for row in rows if row["suite"] in options.suite]
    made = results.sections(asked_for, options.samples)
    print("\n\n".join(f"## {suite}\n\n{text}" for suite, text in made.items()))
    if options.write:
        options.write.write_text(results.written(options.write, made))


if __name__ == "__main__":
    main()
