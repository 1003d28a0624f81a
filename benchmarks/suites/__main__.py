"""Both suites over every variant of the classifier, each in a pytest process of its own, beside
what plain calls show.

    python -m pip install --no-deps pytest-torch==1.1.1 && python -m benchmarks.suites [VARIANT ...] [--write docs/measured/suites.md]

A port is faulty when a plain call on the two batches does not give what the model gives
(`benchmarks/bare.py`). Lines are those of each test file without blanks and docstrings.
"""

from __future__ import annotations

import ast
import functools
import importlib.metadata
import os
import re
import subprocess
import sys
import tempfile
import time
import xml.etree.ElementTree as ET
from collections import Counter
from pathlib import Path

import torch

from benchmarks import bare, pages
from benchmarks.apart import apart
from benchmarks.suites.models import VARIANTS, batches, make

HERE = Path(__file__).parent
SUITES = {
    "Modelport": ("test_portable.py", "pytest_modelport.plugin"),
    "pytest-torch": ("test_pytest_torch.py", "pytest_torch.plugin"),
}
#: What pytest-torch calls the port of a target.
THEIRS = {
    "torch_compile": "compile_parity",
    "torch_export": "export_parity",
    "aotinductor": "aoti_parity",
    "torchscript": "torchscript_parity",
    "onnx": "onnx_parity",
    "state_dict": "checkpoint_roundtrip",
}


def truth(variant: str, target: str) -> str:
    """What becomes of a variant's port with plain calls."""

    def job() -> str:
        os.environ["VARIANT"] = variant
        calls = [(batch,) for batch in (batches()[0], *batches())]
        with torch.no_grad():
            shapes = ({0: torch.export.Dim.AUTO},)
            return bare.outcome(
                bare.MAKERS[target], functools.partial(_subject, target), calls, shapes
            )

    return str(apart(job, instead="crash"))


def _subject(target: str) -> torch.nn.Module:
    torch.manual_seed(0)
    model = make().eval()
    torch.manual_seed(1)  # what the next instance draws is another thing
    return model


def run(suite: str, variant: str) -> tuple[dict[str, bool], float]:
    """What a suite says of every port of a variant: green or not. And its seconds."""
    file, plugin = SUITES[suite]
    with tempfile.TemporaryDirectory() as folder:
        results = Path(folder, "results.xml")
        command = [
            sys.executable,
            "-W",
            "ignore",
            "-m",
            "pytest",
            "-q",
            "-c",
            os.devnull,
            "--rootdir",
            str(HERE.parents[1]),
        ]
        command += [
            "-p",
            plugin,
            f"--junit-xml={results}",
            "-p",
            "no:cacheprovider",
            str(HERE / file),
        ]
        environment = {
            **os.environ,
            "VARIANT": variant,
            "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
            "PYTHONPATH": str(HERE.parents[1]),
        }
        started = time.perf_counter()
        subprocess.run(command, env=environment, capture_output=True, check=False)
        seconds = time.perf_counter() - started
        cases = ET.parse(results).getroot().iter("testcase")
        green = {
            case.attrib["name"]: len(case) == 0 or case[0].tag.startswith("system")
            for case in cases
        }
    return {target: _of(green, target, suite) for target in THEIRS}, seconds


def _of(green: dict[str, bool], target: str, suite: str) -> bool:
    pattern = rf"\[{target}-cpu\]" if suite == "Modelport" else rf"test_{THEIRS[target]}\b"
    (found,) = [value for name, value in green.items() if re.search(pattern, name)]
    return found


def lines(file: Path) -> int:
    """Lines that somebody had to write."""
    text = file.read_text()
    (doc, *_) = ast.parse(text).body
    return sum(bool(line.strip()) for line in text.splitlines()[doc.end_lineno :])


def main() -> None:
    parser = pages.parser(__doc__)
    parser.add_argument("variants", nargs="*", default=list(VARIANTS))
    options = parser.parse_args()
    counts: dict[str, Counter[str]] = {suite: Counter() for suite in SUITES}
    seconds, rows, faulty = dict.fromkeys(SUITES, 0.0), [], 0
    for variant in options.variants:
        truths = {target: truth(variant, target).split()[0] for target in THEIRS}
        faulty += sum(found != "ok" for found in truths.values())
        cells = []
        for suite in SUITES:
            green, took = run(suite, variant)
            seconds[suite] += took
            judged = {
                t: "right"
                if green[t] == (truths[t] == "ok")
                else "missed"
                if green[t]
                else "false red"
                for t in THEIRS
            }
            counts[suite].update(judged.values())
            wrong = [
                f"{verdict}: {target}" for target, verdict in judged.items() if verdict != "right"
            ]
            cells.append(", ".join(wrong) or "right on all six")
        rows.append(
            f"| {variant} | {', '.join(t for t, found in truths.items() if found != 'ok') or 'none'} | {' | '.join(cells)} |"
        )
        print(rows[-1], flush=True)
    report = [
        "# The same suite, beside pytest-torch's",
        "",
        f"`python -m benchmarks.suites`: one classifier and {len(options.variants) - 1} variants with a planted mistake, six ports "
        f"each, {faulty} of the {6 * len(options.variants)} ports faulty by plain calls. pytest-torch "
        f"{importlib.metadata.version('pytest-torch')}, torch {importlib.metadata.version('torch')}.",
        "",
        "| | lines | right | missed | false red | seconds |",
        "|---|---|---|---|---|---|",
        *(
            f"| {suite} | {lines(HERE / file)} | {found['right']} | {found['missed']} | {found['false red']} | {seconds[suite]:.0f} |"
            for (suite, (file, _)), found in zip(SUITES.items(), counts.values(), strict=True)
        ),
        "",
        f"| variant | faulty ports | {' | '.join(SUITES)} |",
        "|---|---|---|---|",
        *rows,
    ]
    pages.show(report, options.write)


if __name__ == "__main__":
    main()
