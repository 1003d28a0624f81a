"""Faults that the example does not show: found without being told the input that shows them?

    python -m benchmarks.discovery [NAME ...] [--examples 25 50 200] [--domain ieee] [--write docs/measured/discovery.md]

Every entry of `tests/meta/faults.py` without its triggering samples: the model, its example and its
dynamic dims. An entry counts where the port is right at the example and wrong at a trigger
(tests/meta/faults.py says so, from plain calls). Found: `parity`, at the example's shapes with other
values, or the check `shapes` is red; undecided: it says so, and is not green. A control is an entry whose port is right everywhere: red there is a
false alarm.
"""

from __future__ import annotations

import argparse
import logging
import time
import warnings
from collections import Counter, defaultdict
from pathlib import Path

import torch

from benchmarks import bare
from benchmarks.apart import apart
from pytest_modelport.cleanroom.workspace import Workspace
from pytest_modelport.core.verdict import Outcome, Verdict
from pytest_modelport.engine import pipeline
from pytest_modelport.engine.build_case import build_case
from pytest_modelport.engine.resolve import routes_of
from pytest_modelport.request.options import Options
from pytest_modelport.request.recipes import parse
from pytest_modelport.search.candidates import space_for
from tests.meta.faults import FAULTS

TARGETS = ("onnx", "onnx_legacy", "torchscript", "torch_export")
RED = (Outcome.FAILED, Outcome.CRASHED, Outcome.TIMEOUT)


def searched(
    workspace: Workspace, name: str, target: str, examples: int, domain: str
) -> list[Verdict]:
    """Parity at the example, then the search."""
    fault = FAULTS[name]
    case = build_case(
        fault.subject(),
        fault.args,
        options=Options(dynamic_shapes=fault.shapes, examples=examples, domain=domain),
    )
    return pipeline.prove(
        workspace, case, routes_of([target], ["none"], ["cpu"])[0], ["parity", "shapes"]
    )


def really_wrong(name: str, target: str, verdict: Verdict, domain: str) -> bool:
    """Whether plain calls too go wrong on what the search has found."""
    fault = FAULTS[name]
    case = build_case(
        fault.subject(), fault.args, options=Options(dynamic_shapes=fault.shapes, domain=domain)
    )
    sample = space_for(case).build(parse(verdict.evidence["recipe"]))

    def job() -> str:
        with torch.no_grad():
            return bare.outcome(
                bare.MAKERS[target], fault.subject, [fault.args, sample.args], fault.shapes
            )

    return bool(apart(job, instead="crash") != "ok")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("names", nargs="*", default=list(FAULTS))
    parser.add_argument("--examples", nargs="*", type=int, default=[25, 50, 200])
    parser.add_argument("--domain", default="finite")
    parser.add_argument("--write", type=Path)
    options = parser.parse_args()
    logging.disable(logging.CRITICAL)
    warnings.simplefilter("ignore")
    counts: dict[int, Counter[str]] = defaultdict(Counter)
    seconds: Counter[int] = Counter()
    workspace = Workspace()
    for name in options.names:
        for target in (target for target in FAULTS[name].expect if target in TARGETS):
            truth = FAULTS[name].expect[target]
            if truth == "no-export":
                continue
            for examples in options.examples:
                started = time.perf_counter()
                verdicts = searched(workspace, name, target, examples, options.domain)
                seconds[examples] += time.perf_counter() - started
                early = "recipe" in verdicts[0].evidence  # other values, which parity tries
                if not early and (not verdicts[0].passed or len(verdicts) < 2):
                    continue  # it shows at the example
                verdict = verdicts[0] if early else verdicts[1]
                red, fault = verdict.outcome in RED, truth != "ok"
                undecided = verdict.outcome is Outcome.INCONCLUSIVE
                word = (
                    ("found by parity" if early else "found")
                    if red and fault
                    else "false alarm"
                    if red
                    else "undecided"
                    if undecided
                    else "missed"
                )
                word = "quiet" if verdict.passed and not fault else word
                if word == "false alarm" and really_wrong(name, target, verdict, options.domain):
                    word = "found beyond the table"
                counts[examples][word] += 1
                if word not in ("found", "found by parity", "quiet"):
                    print(
                        f"{examples} {name} on {target} ({truth}): {word}: {verdict.reason[:150]}",
                        flush=True,
                    )
    workspace.close()
    for examples, count in counts.items():
        print(examples, dict(count), f"{seconds[examples]:.0f} s")


if __name__ == "__main__":
    main()
