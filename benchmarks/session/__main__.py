"""Whole processes, one after the other, in turns.

python -m pip install pytest-torch==1.1.1 && python -m benchmarks.session [--rounds 3] [--write
docs/measured/session.md]
"""

from __future__ import annotations

import importlib.metadata
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

from benchmarks import pages

HERE = Path(__file__).parent
WAYS = {
    "bare calls": ("test_bare.py", ()),
    "pytest-torch": ("test_pytest_torch.py", ("-p", "pytest_torch.plugin")),
    "modelport": ("test_portable.py", ("-p", "pytest_modelport.plugin")),
    "modelport -n 2": (
        "test_portable.py",
        ("-p", "pytest_modelport.plugin", "-p", "xdist.plugin", "-n", "2"),
    ),
}


def session(file: str, plugins: tuple[str, ...]) -> float:
    """Seconds of one pytest process with these plugins only. Raises when a test fails."""
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
    environment = {
        **os.environ,
        "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
        "PYTHONPATH": str(HERE.parents[1]),
        "HF_HUB_OFFLINE": "1",
    }
    started = time.perf_counter()
    ended = subprocess.run(
        [*command, *plugins, str(HERE / file)],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    if ended.returncode or "12 passed" not in ended.stdout:
        raise SystemExit(ended.stdout + ended.stderr)
    return time.perf_counter() - started


def main() -> None:
    parser = pages.parser(__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    seconds: dict[str, list[float]] = {way: [] for way in WAYS}
    for _ in range(options.rounds):
        for way, (file, plugins) in WAYS.items():
            seconds[way].append(session(file, plugins))
            print(f"{way}: {seconds[way][-1]:.1f} s", flush=True)
    bare = statistics.median(seconds["bare calls"])
    lines = [
        "# What a session costs",
        "",
        f"`python -m benchmarks.session`: twelve routes (four models through ONNX, TorchScript and torch.export) in one pytest "
        f"process, the process's start included; median of {options.rounds} rounds taken in turns, {os.cpu_count()} cores; "
        f"pytest-torch {importlib.metadata.version('pytest-torch')}, torch {importlib.metadata.version('torch')}.",
        "",
        "| | seconds | times bare calls |",
        "|---|---|---|",
        *(
            f"| {way} | {statistics.median(taken):.1f} | {statistics.median(taken) / bare:.2f} |"
            for way, taken in seconds.items()
        ),
    ]
    pages.show(lines, options.write)


if __name__ == "__main__":
    main()
