"""Known models on every deployment target, beside the table of what is known
(fixtures/deployment.py).

python -m benchmarks.deployment [MODEL ...] [--targets TARGET ...] [--write docs/measured/deployment.md]
"""

from __future__ import annotations

import datetime as dt
import time

from benchmarks import tables
from fixtures import deployment
from pytest_modelport.cleanroom.workspace import Workspace
from pytest_modelport.cli.doctor import examine
from pytest_modelport.core.verdict import Verdict, worst
from pytest_modelport.engine import pipeline
from pytest_modelport.engine.build_case import build_case
from pytest_modelport.engine.resolve import routes_of
from pytest_modelport.request.options import Options

MODELS = ("cnn", "encoder", "lstm", "wide")


def verdict_of(workspace: Workspace, name: str, target: str) -> Verdict:
    """The worst verdict of one model on one target."""
    model, example, other = deployment.case(name)
    case = build_case(
        model,
        example,
        options=Options(samples=[other], dynamic_shapes=deployment.shapes()),
        name=name,
    )
    return worst(
        pipeline.prove(
            workspace, case, routes_of([target], ["none"], ["cpu"])[0], pipeline.default_checks()
        )
    )


def cell(verdict: Verdict, seconds: float) -> str:
    """An outcome, and its reason where it is not green."""
    why = "" if verdict.passed else f" at {verdict.stage}: {verdict.reason[:110].replace('|', '/')}"
    return f"{verdict.outcome}{why} ({seconds:.1f} s)"


def main() -> None:
    options = tables.options(__doc__, MODELS, deployment.TARGETS)
    rows, unknown = [], []
    with Workspace() as workspace:
        for target in options.targets:
            cells = []
            for name in options.models:
                started = time.perf_counter()
                verdict = verdict_of(workspace, name, target)
                cells.append(cell(verdict, time.perf_counter() - started))
                known = deployment.KNOWN.get((name, target), ("passed", "compare", ""))
                if (str(verdict.outcome), str(verdict.stage)) != known[:2] or known[
                    2
                ] not in verdict.reason:
                    unknown.append(f"{name} on {target}: {cells[-1]}; known is {known}")
            rows.append(f"| `{target}` | {' | '.join(cells)} |")
            print(rows[-1], flush=True)
    versions = sorted(
        {part for item in examine() if item.state == "usable" for part in item.said.split(", ")}
    )
    report = [
        "# Known models on deployment runtimes",
        "",
        f"`python -m benchmarks.deployment`, {dt.datetime.now(dt.timezone.utc):%Y-%m-%d}, with {', '.join(versions)}. "
        "Three networks trained on handwritten digits and one that returns a dict of floats, integers and booleans, each exported "
        "at batch 4 with a batch of 1 to 64 and asked at 4 and 7; seconds include the export.",
        "",
        f"| target | {' | '.join(options.models)} |",
        "|---" * (len(options.models) + 1) + "|",
        *rows,
    ]
    tables.finish(report, unknown, options.write)


if __name__ == "__main__":
    main()
