"""Is a latency gate right? The same artifact against itself, and against ones that take 10 and 20 %
longer.

    python -m benchmarks.latency [--trials 1000] [--others 20] [--write docs/measured/latency.md]

Needs `pip install pytest-benchmark pytest-torch`. Networks of 20, 22 and 24 equal layers in ONNX
Runtime, one thread, in a clean room; the old and the new one are opened anew for every trial of
ours. quiet: nothing else runs; busy: two processes that never rest. pytest-benchmark: two runs of
pytest, `--benchmark-compare-fail=mean:5%`. pytest-torch: `check_perf` with a tolerance of 5 %, its
slack of 0.05 ms left as it is. Budget: 5 %.

Also: how wide the interval of "times as fast as eager" is beside what ten sequential measurements
of both disagree by, and what a timed call takes beside the bare one.
"""

from __future__ import annotations

import argparse
import contextlib
import datetime as dt
import multiprocessing
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
from torch import nn

from pytest_modelport.backends.export import versions
from pytest_modelport.checks._latency_runs import paired, warm_up
from pytest_modelport.checks._latency_sign_test import Side
from pytest_modelport.cleanroom.workspace import Workspace
from pytest_modelport.engine.build_case import build_case
from pytest_modelport.engine.resolve import routes_of
from pytest_modelport.request.budgets import ALPHA
from pytest_modelport.workbench.workbench import Workbench

MARGIN = 1.05
LAYERS = {"the same": 20, "10 % longer": 22, "20 % longer": 24}
X = torch.randn(32, 192, generator=torch.Generator().manual_seed(0))


def network(layers: int) -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(
        *(part for _ in range(layers) for part in (nn.Linear(192, 192), nn.Tanh()))
    ).eval()


def workbench(workspace: Workspace, layers: int) -> Workbench:
    """An exported network on its route."""
    return Workbench(
        build_case(network(layers), X), routes_of(["onnx"], ["none"], ["cpu"])[0], workspace
    )


@contextlib.contextmanager
def opened(one: Workbench) -> Iterator[Any]:
    with one.session() as session:
        session.prepare(one.feed(one.case.calls[0]), 0)
        warm_up(session)
        yield session


@contextlib.contextmanager
def busy(wanted: bool) -> Iterator[None]:
    """Two processes that never rest, if wanted."""
    stop = multiprocessing.Event()

    def spin() -> None:
        while not stop.is_set():
            pass

    others = [multiprocessing.Process(target=spin, daemon=True) for _ in range(2 * wanted)]
    for other in others:
        other.start()
    try:
        yield
    finally:
        stop.set()
        for other in others:
            other.join()


def ours(
    old: Workbench, new: Workbench, trials: int
) -> tuple[Counter[str], list[float], list[float]]:
    """Outcomes, seconds until a decision, and ratios found."""
    outcomes, seconds, ratios = Counter[str](), [], []
    words = {Side.ABOVE: "failed", Side.BELOW: "passed", None: "inconclusive"}
    for trial in range(trials):
        with opened(new) as candidate, opened(old) as reference:
            started = time.perf_counter()
            test = paired(candidate, reference, MARGIN, ALPHA, 10.0, trial)
            seconds.append(time.perf_counter() - started)
            ratios.append(test.ratio)
            outcomes[words[test.decided]] += 1
    return outcomes, seconds, ratios


_TEST = """
import onnxruntime, numpy as np

def test_latency(benchmark):
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession({file!r}, options)
    feeds = {{session.get_inputs()[0].name: np.ones((32, 192), np.float32)}}
    benchmark(session.run, None, feeds)
"""


def pytest_benchmark(old: Path, new: Path, trials: int) -> Counter[str]:
    """Whether `--benchmark-compare-fail` fails the second run of pytest."""
    outcomes = Counter[str]()
    with tempfile.TemporaryDirectory() as folder:
        command = [
            sys.executable,
            "-m",
            "pytest",
            "-q",
            "-p",
            "no:modelport",
            "test_latency.py",
            "--benchmark-storage=stored",
        ]
        for _ in range(trials):
            for file, further in (
                (old, ["--benchmark-save=old"]),
                (new, ["--benchmark-compare", "--benchmark-compare-fail=mean:5%"]),
            ):
                Path(folder, "test_latency.py").write_text(_TEST.format(file=str(file)))
                done = subprocess.run(
                    [*command, *further], cwd=folder, capture_output=True, text=True
                )
            outcomes["failed" if done.returncode else "passed"] += 1
    return outcomes


def pytest_torch(old: Callable[[], Any], new: Callable[[], Any], trials: int) -> Counter[str]:
    """Whether `check_perf` raises."""
    from pytest_torch.perf import PerfStore, check_perf

    outcomes = Counter[str]()
    for _ in range(trials):
        with tempfile.TemporaryDirectory() as folder:
            store = PerfStore(Path(folder, "perf.json"))
            check_perf(store, "k", old, update=True)
            try:
                check_perf(store, "k", new, latency_tolerance=0.05)
            except AssertionError:
                outcomes["failed"] += 1
            else:
                outcomes["passed"] += 1
    return outcomes


def bare(file: Path) -> Callable[[], Any]:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(str(file), options)
    feeds = {session.get_inputs()[0].name: X.numpy()}
    return lambda: session.run(None, feeds)


def eager_against(one: Workbench) -> tuple[list[tuple[float, float, float]], list[float]]:
    """The interval of ten paired comparisons with eager, and the ratios of ten sequential ones of
    100 calls each.
    """
    intervals, sequential = [], []
    for seed in range(10):
        with opened(one) as port, one.session("eager") as eager:
            eager.prepare(one.feed(one.case.calls[0]), 0)
            warm_up(eager)
            test = paired(port, eager, 1 / 1.3, ALPHA, 10.0, seed)
            low, high = test.interval
            intervals.append((1 / test.ratio, 1 / high, 1 / low if low else float("inf")))
            means = [statistics.mean(lap.wall for lap in side.laps(100)) for side in (eager, port)]
            sequential.append(means[0] / means[1])
    return intervals, sequential


def overhead(one: Workbench) -> tuple[float, float]:
    """Median seconds of a call timed in the clean room, and of the bare call timed here, in turns."""
    call = bare(one.artifact.folder / one.artifact.manifest.entry)
    there, here = [], []
    with opened(one) as session:
        for _ in range(300):
            there.append(session.laps(1, warm=1)[0].wall)
            call()
            started = time.perf_counter()
            call()
            here.append(time.perf_counter() - started)
    return statistics.median(there), statistics.median(here)


def share(outcomes: Counter[str]) -> str:
    total = outcomes.total()
    return ", ".join(
        f"{word} {100 * outcomes[word] / total:.1f} %"
        for word in ("failed", "passed", "inconclusive")
        if outcomes[word]
    )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--trials", type=int, default=1000)
    parser.add_argument("--others", type=int, default=20)
    parser.add_argument("--write", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(1)
    rows = []
    with Workspace() as workspace:
        old = workbench(workspace, LAYERS["the same"])
        for noise in (False, True):
            for name, layers in LAYERS.items():
                new = workbench(workspace, layers)
                files = [one.artifact.folder / one.artifact.manifest.entry for one in (old, new)]
                with busy(noise):
                    mine, seconds, ratios = ours(old, new, options.trials)
                    torchs = pytest_torch(*map(bare, files), options.others)
                    benchmarks = pytest_benchmark(*files, options.others)
                cells = [
                    share(mine),
                    f"{statistics.median(ratios):.3f}",
                    f"{statistics.median(seconds):.2f} s",
                    share(benchmarks),
                    share(torchs),
                ]
                rows.append(
                    f"| {name}, {'busy' if noise else 'quiet'} ({mine.total()}; {options.others}) | {' | '.join(cells)} |"
                )
                print(rows[-1], flush=True)
        intervals, sequential = eager_against(old)
        there, here = overhead(old)
    found, low, high = (statistics.median(column) for column in zip(*intervals, strict=True))
    report = [
        "# Latency gates",
        "",
        f"`python -m benchmarks.latency --trials {options.trials} --others {options.others}`, {dt.datetime.now(dt.timezone.utc):%Y-%m-%d}, "
        f"{', '.join(f'{name} {version}' for name, version in versions('torch', 'onnxruntime', 'pytest-benchmark', 'pytest-torch').items())}, "
        "two cores. A budget of 5 %; in brackets the trials of ours and of each other one.",
        "",
        "| new artifact | Modelport | ratio it found | until decided | pytest-benchmark, `mean:5%` | pytest-torch, `check_perf` 5 % |",
        "|---|---|---|---|---|---|",
        *rows,
        "",
        f"As fast as eager: ten paired comparisons say {found:.2f}x ({low:.2f} to {high:.2f}, medians); ten sequential ones of 100 calls "
        f"each lie between {min(sequential):.2f}x and {max(sequential):.2f}x.",
        "",
        f"A call timed in the clean room takes {there * 1e6:.1f} us, the bare one in this process {here * 1e6:.1f} us "
        f"({100 * (there / here - 1):+.1f} %), in turns.",
    ]
    print("\n".join(report[-3:]))
    if options.write:
        options.write.write_text("\n".join(report) + "\n")


if __name__ == "__main__":
    main()
