"""The share of mutants that each way of comparing catches.

    python -m benchmarks.mutants [--seed 0] [--write docs/measured/mutants.md] [MODEL ...]

Every mutant is an exported file with one thing changed. It is *effective* when ONNX Runtime's
answers to any of three samples move by at least 1e-6 (relative L2, in any output): what moves less
cannot be told from the healthy file by its answers. Modelport proves it as a file that a user
brought; peers compare the same answers with eager's by their default tolerances.
"""

from __future__ import annotations

import argparse
import copy
import logging
import os
import random
import time
import warnings
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

os.environ["HF_HUB_OFFLINE"] = "1"

import numpy as np
import onnx
import torch

from benchmarks.false_alarms import subjects
from benchmarks.mutants.mutations import mutations
from pytest_modelport.cleanroom.workspace import Workspace
from pytest_modelport.core.sample import Sample
from pytest_modelport.core.verdict import Outcome
from pytest_modelport.engine import pipeline
from pytest_modelport.engine.build_case import build_case
from pytest_modelport.engine.resolve import routes_of
from pytest_modelport.request.options import Options
from pytest_modelport.workbench.workbench import Workbench

MODELS = (
    "bert",
    "gpt2",
    "llama",
    "vit",
    "resnet",
    "convnext",
    "digits cnn",
    "digits lstm",
    "digits encoder",
)
EFFECTIVE = 1e-6
ROUTE = routes_of(["onnx"], ["none"], ["cpu"])[0]
Answers = list[list[np.ndarray]]


def answers(file: Path, samples: list[Sample]) -> Answers | None:
    """ONNX Runtime's outputs for every sample; None when it refuses the file."""
    import onnxruntime

    onnxruntime.set_default_logger_severity(4)
    try:
        session = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])
        names = [item.name for item in session.get_inputs()]
        return [
            session.run(
                None,
                dict(zip(names, [t.numpy() for t in (*s.args, *s.kwargs.values())], strict=True)),
            )
            for s in samples
        ]
    except Exception:  # noqa: BLE001 - whatever it says, this mutant is no file that could be shipped
        return None


def moved(before: Answers, after: Answers) -> float:
    """The largest relative L2 distance between two sets of answers."""
    worst = 0.0
    for left, right in zip(before, after, strict=True):
        for old, new in zip(left, right, strict=True):
            if old.shape != new.shape or not np.array_equal(np.isfinite(old), np.isfinite(new)):
                return np.inf
            size = float(np.linalg.norm(np.nan_to_num(old)))
            worst = max(
                worst,
                float(np.linalg.norm(np.nan_to_num(new) - np.nan_to_num(old))) / size
                if size
                else 0.0,
            )
    return worst


#: Default tolerances (rtol, atol): torch.testing's for float32, Polygraphy's `Comparator`,
#: optimum's exporter for most models.
PEERS = {"torch.testing": (1.3e-6, 1e-5), "Polygraphy": (1e-5, 1e-5), "optimum": (1e-3, 1e-5)}


def peer_sees(law: Answers, port: Answers, tolerances: tuple[float, float]) -> bool:
    rtol, atol = tolerances
    pairs = [
        pair
        for left, right in zip(law, port, strict=True)
        for pair in zip(left, right, strict=True)
    ]
    return not all(
        wanted.shape == got.shape and np.allclose(got, wanted, rtol=rtol, atol=atol, equal_nan=True)
        for wanted, got in pairs
    )


def eager(model: torch.nn.Module, samples: list[Sample]) -> Answers:
    with torch.no_grad():
        return [_flat(model(*sample.args, **sample.kwargs)) for sample in samples]


def _flat(value: Any) -> list[np.ndarray]:
    if isinstance(value, torch.Tensor):
        return [value.numpy()]
    values = (
        value.values()
        if isinstance(value, dict)
        else value
        if isinstance(value, (list, tuple))
        else ()
    )
    return [array for item in values for array in _flat(item)]


def study(
    name: str, model: torch.nn.Module, sample: Sample, further: list[Sample], seed: int
) -> Iterator[dict[str, Any]]:
    """One row for the healthy file and one for each effective mutant."""
    samples, generator = [sample, *further], random.Random(f"{name} {seed}")
    with Workspace() as workspace:
        case = build_case(model, sample, options=Options(samples=further), seed=seed)
        file = Workbench(case, ROUTE, workspace).artifact.folder / "model.onnx"
        law, healthy = eager(model, samples), answers(file, samples)
        assert healthy is not None
        yield {
            "model": name,
            "kind": "healthy",
            "what": "",
            **_seen(workspace, case, file, law, healthy),
        }
        original = onnx.load(file)
        for kind, found in mutations(original, generator).items():
            for number, (what, change) in enumerate(found):
                mutant = copy.deepcopy(original)
                change(mutant)
                path = workspace.fresh("mutant") / f"{number}.onnx"
                onnx.save(mutant, path)
                got = answers(path, samples)
                if got is not None and moved(healthy, got) >= EFFECTIVE:
                    yield {
                        "model": name,
                        "kind": kind,
                        "what": what,
                        "moved": moved(healthy, got),
                        **_seen(workspace, case, path, law, got),
                    }


def _seen(
    workspace: Workspace, case: Any, file: Path, law: Answers, got: Answers
) -> dict[str, Any]:
    verdicts = pipeline.prove(workspace, replace(case, artifact=file), ROUTE, ("parity", "weights"))
    wrong = {verdict.check for verdict in verdicts if verdict.outcome is not Outcome.PASSED}
    return {
        "parity": "parity" in wrong,
        "parity and weights": bool(wrong),
        **{peer: peer_sees(law, got, tolerances) for peer, tolerances in PEERS.items()},
    }


WAYS = ("parity", "parity and weights", *PEERS)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("models", nargs="*", default=MODELS)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--write", type=Path)
    options = parser.parse_args()
    logging.disable(logging.ERROR)
    warnings.simplefilter("ignore")
    rows, started = [], time.monotonic()
    for name, model, sample, further in subjects(options.seed):
        if name in options.models:
            for row in study(name, model, sample, further, options.seed):
                rows.append(row)
                if (row["kind"] == "healthy" and row["parity and weights"]) or (
                    row["kind"] != "healthy" and not row["parity"]
                ):
                    print(row, flush=True)
    lines = report(rows, time.monotonic() - started)
    print("\n".join(lines))
    if options.write:
        options.write.write_text("\n".join(lines) + "\n")


def report(rows: list[dict[str, Any]], seconds: float) -> list[str]:
    healthy = [row for row in rows if row["kind"] == "healthy"]
    mutants = [row for row in rows if row["kind"] != "healthy"]
    caught: dict[str, Counter[str]] = defaultdict(Counter)
    for kind in (*dict.fromkeys(row["kind"] for row in mutants), "all"):
        for row in mutants:
            if kind in ("all", row["kind"]):
                caught[kind].update(["mutants", *(way for way in WAYS if row[way])])
    alarms = {way: sum(row[way] for row in healthy) for way in WAYS}
    lines = [
        "# Mutants",
        "",
        f"`python -m benchmarks.mutants`: {len(mutants)} effective mutants of {len(healthy)} ONNX files, torch {torch.__version__}; "
        f"{seconds:.0f} s. Effective: the answers move by at least {EFFECTIVE:g} (relative L2).",
        "",
        f"| | mutants | {' | '.join(WAYS)} |",
        "|---|---|" + "---|" * len(WAYS),
    ]
    for kind, counts in caught.items():
        total = counts["mutants"]
        lines.append(
            f"| {kind} | {total} | "
            + " | ".join(f"{counts[way]} ({100 * counts[way] / total:.0f} %)" for way in WAYS)
            + " |"
        )
    return [
        *lines,
        f"| healthy files called wrong | {len(healthy)} | "
        + " | ".join(str(alarms[way]) for way in WAYS)
        + " |",
    ]


if __name__ == "__main__":
    main()
