"""Healthy routes must pass: models x weights x samples x threads through every target, counting
those that do not.

    python -m benchmarks.false_alarms [--seeds 4] [--write docs/measured/false_alarms.md]

Prints every route that is not green and, for each target, how close the healthy ones come to their
allowance. T5 is left out of ONNX, whose exporter refuses it, and BERT out of onnx.reference, whose
GatherElements refuses more than 64 elements.
"""

from __future__ import annotations

import argparse
import logging
import statistics
import time
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch import nn

from fixtures import digits, hub
from pytest_modelport.cleanroom.workspace import Workspace
from pytest_modelport.core.sample import Sample
from pytest_modelport.core.verdict import Outcome
from pytest_modelport.engine import pipeline
from pytest_modelport.engine.build_case import build_case
from pytest_modelport.engine.resolve import routes_of
from pytest_modelport.request.options import Options
from pytest_modelport.request.tolerance import NOISE_FACTOR

TARGETS = ("onnx", "onnx:reference", "torchscript", "torch_export")
KNOWN = {("t5", "onnx"), ("t5", "onnx:reference"), ("bert", "onnx:reference")}


def like(value: Any, generator: torch.Generator) -> Any:
    """Another sample of the same kind: small integers stay ids, masks stay masks, floats are drawn
    anew.
    """
    if value.is_floating_point():
        return torch.randn(value.shape, generator=generator) * value.std()
    high = int(value.max()) + 1
    return value if high <= 2 else torch.randint(3, 99, value.shape, generator=generator)


def subjects(seed: int) -> Iterator[tuple[str, nn.Module, Sample, list[Sample]]]:
    """Every model with weights of this seed, the sample to export with and two further ones."""
    for name in hub.ARCHITECTURES:
        torch.manual_seed(seed)
        model, args, kwargs = hub.ARCHITECTURES[name]()
        generator = torch.Generator().manual_seed(seed)
        further = [
            Sample(
                tuple(like(v, generator) for v in args),
                {k: like(v, generator) for k, v in kwargs.items()},
            )
            for _ in range(2)
        ]
        yield name, model.eval(), Sample(args, kwargs), further
    for name in digits.MODELS:
        images = digits.images(12, start=12 * seed, name=name).split(4)
        yield (
            f"digits {name}",
            digits.load(name),
            Sample((images[0],)),
            [Sample((other,)) for other in images[1:]],
        )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seeds", type=int, default=4)
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--write", type=Path)
    options = parser.parse_args()
    logging.disable(logging.ERROR)
    started, alarms, used = time.monotonic(), [], defaultdict(list)
    with Workspace() as workspace:
        for seed in range(options.seeds):
            for name, model, sample, further in subjects(seed):
                for threads in options.threads:
                    case = build_case(
                        model,
                        sample,
                        options=Options(samples=further, threads=threads),
                        seed=seed * 1000,
                    )
                    for route in routes_of(TARGETS, ("none",), ("cpu",)):
                        if (name, route.target) in KNOWN:
                            continue
                        verdicts = pipeline.prove(workspace, case, route, pipeline.default_checks())
                        for verdict in verdicts:
                            if verdict.outcome is not Outcome.PASSED:
                                alarms.append(
                                    f"{name} seed {seed} threads {threads} {route}: {verdict.check} {verdict.reason}"
                                )
                                print(alarms[-1], flush=True)
                        used[route.target].append(
                            max(verdict.evidence.get("needs", 0.0) for verdict in verdicts)
                        )
    lines = report(used, alarms, time.monotonic() - started)
    print("\n".join(lines))
    if options.write:
        options.write.write_text("\n".join(lines) + "\n")


def report(used: dict[str, list[float]], alarms: list[str], seconds: float) -> list[str]:
    routes = sum(map(len, used.values()))
    lines = [
        "# Healthy routes",
        "",
        f"`python -m benchmarks.false_alarms`, torch {torch.__version__}: {routes} routes, {len(alarms)} false alarms, "
        f"{seconds:.0f} s. An output may lie {NOISE_FACTOR:g} times its noise from the oracle; needed were:",
        "",
        "| target | routes | median | 99 % | worst |",
        "|---|---|---|---|---|",
    ]
    for target, values in used.items():
        ordered = sorted(values)
        high = ordered[min(len(ordered) - 1, int(0.99 * len(ordered)))]
        lines.append(
            f"| {target} | {len(values)} | {statistics.median(values):.2f} | {high:.2f} | {ordered[-1]:.2f} |"
        )
    return lines + ([""] + [f"- {alarm}" for alarm in alarms] if alarms else [])


if __name__ == "__main__":
    main()
