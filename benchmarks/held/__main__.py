"""What a long run holds: descriptors, memory and scratch of one pytest process.

    python -m pip install psutil && python -m benchmarks.held [--tests 500] [--write docs/measured/held.md]

So many portable tests through four targets each. The slope is a least-squares line through what was
held at the end of each test, from the 50th on: until then kernels, caches and the clean room warm
up.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import torch

from benchmarks import pages

HERE = Path(__file__).parent
WARM = 50
NAMES = {
    "descriptors": "descriptors",
    "session_mb": "memory of the session, MB",
    "rooms_mb": "memory of its clean room, MB",
    "scratch_mb": "scratch, MB",
}


def rows(tests: int, folder: Path) -> list[dict[str, float]]:
    """What was held after each test. Raises `SystemExit` when one fails."""
    written = folder / "rows.jsonl"
    root = str(HERE.parents[1])
    command = [sys.executable, "-W", "ignore", "-m", "pytest", "-q", "-c", os.devnull]
    ended = subprocess.run(
        [
            *command,
            *("--rootdir", root, f"--basetemp={folder / 'base'}", "-p", "pytest_modelport.plugin"),
            str(HERE / "test_many.py"),
        ],
        env={
            **os.environ,
            "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
            "PYTHONPATH": root,
            "HELD_TESTS": str(tests),
            "HELD_ROWS": str(written),
        },
        capture_output=True,
        text=True,
        check=False,
    )
    if ended.returncode:
        raise SystemExit(ended.stdout[-4000:] + ended.stderr[-4000:])
    return [json.loads(line) for line in written.read_text().splitlines()]


def table(warm: list[dict[str, float]]) -> list[str]:
    """Each quantity at the first of these tests and at the last, with its slope."""
    numbers = np.array([row["test"] for row in warm])
    lines = ["| | at first | at the end | most | for each 100 tests |", "|---|---|---|---|---|"]
    for key, name in NAMES.items():
        values = np.array([row[key] for row in warm])
        slope = 100 * float(np.polyfit(numbers, values, 1)[0])
        lines.append(
            f"| {name} | {values[0]:.1f} | {values[-1]:.1f} | {values.max():.1f} | {slope:+.2f} |"
        )
    return lines


def main() -> None:
    """Run and print the page."""
    parser = pages.parser(__doc__)
    parser.add_argument("--tests", type=int, default=500)
    options = parser.parse_args()
    started = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        warm = rows(options.tests, Path(folder))[min(WARM, options.tests // 2) :]
    page = [
        "# What a long run holds",
        "",
        f"`python -m benchmarks.held --tests {options.tests}`: {options.tests} models of 0.8 MB through ONNX (two runtimes), "
        f"TorchScript and torch.export in one pytest process, torch {torch.__version__}; "
        f"{time.perf_counter() - started:.0f} s. From test {warm[0]['test']} on:",
        "",
        *table(warm),
        "",
        "What grows are the verdicts and pytest's reports, of which the summary at the end is made.",
    ]
    pages.show(page, options.write)


if __name__ == "__main__":
    main()
