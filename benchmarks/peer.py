"""Modelport beside pytest-torch's parity helpers, on every fault and control of
`tests/meta/faults.py` whose truth is known.

    python -m pip install --no-deps pytest-torch==1.1.1 && python -m benchmarks.peer [--write docs/measured/peer.md]

The peer gets the model, its example and, where a helper takes more inputs, the further samples;
each of its questions runs in a process of its own, or a crash would end the benchmark. Right: green
exactly where the port is the model. Ties that Modelport calls inconclusive count as red.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import logging
import time
import warnings
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.apart import apart
from pytest_modelport.cleanroom.workspace import Workspace
from pytest_modelport.engine import pipeline
from pytest_modelport.engine.build_case import build_case
from pytest_modelport.engine.resolve import routes_of
from pytest_modelport.request.options import Options
from tests.meta.faults import FAULTS, Fault

TARGETS = (
    "onnx",
    "onnx_legacy",
    "torchscript",
    "torchscript_script",
    "torch_export",
    "torch_compile",
    "aotinductor",
)


def ours(fault: Fault, target: str, workspace: Workspace) -> bool:
    """Whether Modelport is green."""
    case = build_case(
        fault.subject(),
        fault.args,
        options=Options(samples=fault.then, dynamic_shapes=fault.shapes),
    )
    verdicts = pipeline.prove(
        workspace, case, routes_of([target], ["none"], ["cpu"])[0], pipeline.default_checks()
    )
    return all(verdict.passed for verdict in verdicts)


def theirs(fault: Fault, target: str) -> bool:
    """Whether pytest-torch's helper for the target is green."""
    from pytest_torch import parity

    model, args, shapes = fault.subject(), fault.args, fault.shapes
    helpers: dict[str, Callable[[], Any]] = {
        "onnx": lambda: parity.assert_onnx_parity(
            model, args, export_kwargs={"dynamo": True, "dynamic_shapes": shapes}
        ),
        "onnx_legacy": lambda: parity.assert_onnx_parity(
            model, args, export_kwargs={"dynamo": False}
        ),
        "torchscript": lambda: parity.assert_torchscript_parity(model, args),
        "torchscript_script": lambda: parity.assert_torchscript_parity(model, args, mode="script"),
        "torch_export": lambda: parity.assert_export_parity(
            model, args, *fault.then, dynamic_shapes=shapes
        ),
        "torch_compile": lambda: parity.assert_compile_parity(model, args),
        "aotinductor": lambda: parity.assert_aoti_parity(
            model, args, *fault.then, dynamic_shapes=shapes
        ),
    }
    try:
        helpers[target]()
    except Exception:  # noqa: BLE001 - whatever a helper raises is red
        return False
    return True


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--write", type=Path)
    options = parser.parse_args()
    counts: dict[str, Counter[str]] = {"Modelport": Counter(), "pytest-torch": Counter()}
    seconds = dict.fromkeys(counts, 0.0)
    logging.disable(logging.CRITICAL)
    warnings.simplefilter("ignore")
    with Workspace() as workspace:
        for name, fault in FAULTS.items():
            for target in (target for target in fault.expect if target in TARGETS):
                truth = fault.expect[target] == "ok"
                for who, ask in (
                    ("Modelport", lambda *asked: ours(*asked, workspace)),
                    ("pytest-torch", lambda *asked: apart(lambda: theirs(*asked), instead=False)),
                ):
                    started = time.perf_counter()
                    green = ask(fault, target)
                    seconds[who] += time.perf_counter() - started
                    verdict = "right" if green == truth else "false green" if green else "false red"
                    counts[who][verdict] += 1
                    if verdict != "right":
                        print(
                            f"{name} on {target} ({fault.expect[target]}): {who} {verdict}",
                            flush=True,
                        )
    lines = [
        "# Beside pytest-torch",
        "",
        f"`python -m benchmarks.peer`: {sum(counts['Modelport'].values())} ports of {len(FAULTS)} models, faulty ones and controls, whose "
        f"truth plain calls show; pytest-torch {importlib.metadata.version('pytest-torch')}, torch {importlib.metadata.version('torch')}.",
        "",
        "| | right | false green | false red | seconds |",
        "|---|---|---|---|---|",
    ]
    for who, found in counts.items():
        lines.append(
            f"| {who} | {found['right']} | {found['false green']} | {found['false red']} | {seconds[who]:.0f} |"
        )
    print("\n".join(lines))
    if options.write:
        options.write.write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
