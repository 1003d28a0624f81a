"""Every transform on every target, for three networks trained on digits, beside what is known
(fixtures/transforming.json).

    python -m benchmarks.transforms [MODEL ...] [--targets TARGET ...] [--only TRANSFORM ...] [--write docs/measured/transforms.md]

Needs what `tox -e full` installs. Writing replaces what is known.
"""

from __future__ import annotations

import argparse
import collections
import datetime as dt
import logging
import sys
import sysconfig
import time
import warnings
from pathlib import Path

from fixtures import transforming
from pytest_modelport.backends.export import versions
from pytest_modelport.cleanroom.workspace import Workspace
from pytest_modelport.core.verdict import worst
from pytest_modelport.engine import pipeline
from pytest_modelport.engine.build_case import build_case
from pytest_modelport.engine.resolve import routes_of
from pytest_modelport.request.options import Options


def found(workspace: Workspace, cell: transforming.Cell) -> list[str]:
    """Outcome, check and reason of the worst verdict."""
    model, transform, target = cell
    route = routes_of([target], [transform], ["cpu"])[0]
    given = transforming.arguments(model, target)
    network, sample = given.pop("model"), given.pop("args")
    case = build_case(network, sample, options=Options(**given), name=model)
    verdicts = pipeline.prove(workspace, case, route, pipeline.default_checks())
    verdict = worst(verdicts)
    said = (
        next((one.reason for one in verdicts if one.check == "quality"), verdict.reason)
        if verdict.passed
        else verdict.reason
    )
    return [
        str(verdict.outcome),
        verdict.check,
        said.replace(f"{sysconfig.get_path('purelib')}/", "")[:300],
    ]


def page(rows: dict[transforming.Cell, list[str]], seconds: float) -> list[str]:
    text = [
        "# Transforms and targets",
        "",
        f"`python -m benchmarks.transforms`, {dt.datetime.now(dt.timezone.utc):%Y-%m-%d}, {seconds:.0f} s, with "
        + ", ".join(
            f"{n} {v}"
            for n, v in versions(
                "torch",
                "torchao",
                "onnx",
                "onnxruntime",
                "openvino",
                "nncf",
                "executorch",
                "torch-pruning",
                "onnxslim",
            ).items()
        )
        + ". Three networks trained on handwritten digits; ranges measured on 68 images, nothing trained again. Passed: the port is the "
        "transformed model, and the transform left of the original what its floors ask (decibels of signal over error, rows with the "
        "same best class, bytes of stored tensors).",
        "",
    ]
    for model in transforming.MODELS:
        mine = {cell[1:]: what for cell, what in rows.items() if cell[0] == model}
        if not mine:
            continue
        text += [f"## {model}", "", "| transform | target | outcome | |", "|---|---|---|---|"]
        for (transform, target), (outcome, check, said) in mine.items():
            where = "" if outcome == "passed" else f" ({check})"
            text.append(
                f"| `{transform.replace('|', ' then ')}` | `{target}` | {outcome}{where} | {said[:160].replace('|', '/')} |"
            )
        text.append("")
    return text[:-1]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("models", nargs="*", default=transforming.MODELS)
    parser.add_argument("--targets", nargs="*", default=transforming.TARGETS)
    parser.add_argument("--only", nargs="*")
    parser.add_argument("--write", type=Path)
    options = parser.parse_args()
    logging.disable(logging.CRITICAL)
    warnings.simplefilter("ignore")
    rows, started, unknown = {}, time.perf_counter(), []
    known = (
        transforming.known() if Path(transforming.__file__).with_suffix(".json").exists() else {}
    )
    for model in options.models:
        with Workspace() as workspace:
            for cell in transforming.cells():
                if (
                    cell[0] != model
                    or cell[2] not in options.targets
                    or (options.only and cell[1] not in options.only)
                ):
                    continue
                began = time.perf_counter()
                rows[cell] = found(workspace, cell)
                differs = known.get(cell, [""])[:2] != rows[cell][:2]
                unknown += [f"{cell}: {rows[cell]}; known is {known.get(cell)}"] if differs else []
                print(
                    f"{'-> '.join(cell[1:])} [{model}] {time.perf_counter() - began:.1f} s: {' '.join(rows[cell])}",
                    flush=True,
                )
    if options.write:
        transforming.write({**known, **rows})
        options.write.write_text(
            "\n".join(page({**known, **rows}, time.perf_counter() - started)) + "\n"
        )
    print(collections.Counter(what[0] for what in rows.values()))
    print("\n".join(unknown) or "all as known")
    sys.exit(bool(unknown) and not options.write)


if __name__ == "__main__":
    main()
