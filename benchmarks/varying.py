"""Known models whose dims vary as they allow, beside the table of what is known
(fixtures/varying.py).

python -m benchmarks.varying [MODEL ...] [--targets TARGET ...] [--write docs/measured/varying.md]
"""

from __future__ import annotations

import datetime as dt
import time

from benchmarks import tables
from fixtures import varying
from pytest_modelport.backends.export import versions
from pytest_modelport.cleanroom.workspace import Workspace
from pytest_modelport.core.verdict import Verdict, worst
from pytest_modelport.engine import pipeline
from pytest_modelport.engine.build_case import build_case
from pytest_modelport.engine.resolve import routes_of
from pytest_modelport.request.options import Options


def verdict_of(workspace: Workspace, name: str, target: str) -> Verdict:
    """The worst verdict of one model on one target; the search's, where it is no better than
    parity's.
    """
    model, sample = varying.case(name)
    case = build_case(model, sample, options=Options(dynamic_shapes="infer"), name=name)
    return worst(
        pipeline.prove(
            workspace, case, routes_of([target], ["none"], ["cpu"])[0], ("parity", "shapes")
        )[::-1]
    )


def as_known(name: str, target: str, verdict: Verdict) -> bool:
    """Whether this is what the table says."""
    known = varying.KNOWN.get((name, target), varying.PASSED)
    smallest = str(verdict.evidence.get("smallest", ""))
    return (
        str(verdict.outcome) == known.outcome
        and known.words in verdict.reason
        and smallest == known.smallest
    )


def cell(verdict: Verdict, seconds: float) -> str:
    """An outcome, its reason where it is not green, and the smallest sample that shows it."""
    why = "" if verdict.passed else f" at {verdict.stage}: {verdict.reason[:140].replace('|', '/')}"
    smallest = (
        f"; smallest: `{verdict.evidence['smallest']}`" if "smallest" in verdict.evidence else ""
    )
    return f"{verdict.outcome}{why}{smallest} ({seconds:.1f} s)"


def main() -> None:
    options = tables.options(__doc__, varying.MODELS, varying.TARGETS)
    rows, unknown = [], []
    with Workspace() as workspace:
        for name in options.models:
            for target in options.targets:
                started = time.perf_counter()
                verdict = verdict_of(workspace, name, target)
                dims = next(
                    (note for note in verdict.notes if note.endswith("(inferred)")), ""
                ).partition("=")[2]
                said = cell(verdict, time.perf_counter() - started)
                rows.append(
                    f"| {name} | `{target}` | `{dims.removesuffix(' (inferred)')}` | {said} |"
                )
                print(rows[-1], flush=True)
                if not as_known(name, target, verdict):
                    unknown.append(f"{name} on {target}: {said}")
    packages = versions("torch", "onnx", "onnxruntime", "openvino", "executorch", "transformers")
    report = [
        "# Known models whose dims vary",
        "",
        f"`python -m benchmarks.varying`, {dt.datetime.now(dt.timezone.utc):%Y-%m-%d}, with "
        f'{", ".join(f"{package} {version}" for package, version in packages.items())}. `dynamic_shapes="infer"`, 25 samples; '
        "tiny transformers and a tiny ResNet with random weights, and an LSTM trained on handwritten digits.",
        "",
        "| model | target | dims that the model lets vary | |",
        "|---|---|---|---|",
        *rows,
    ]
    tables.finish(report, unknown, options.write)


if __name__ == "__main__":
    main()
