"""pytest-benchmark, where it is installed: our laps in its table, its JSON and its comparisons; its
options for ours.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import pytest

from pytest_modelport.core.verdict import Verdict
from pytest_modelport.plugin.stash import SETTINGS, is_portable


def forbidden(config: pytest.Config) -> str:
    """The option that says that nothing is timed, or an empty string."""
    named = (
        name for name in ("skip", "disable") if config.getoption(f"benchmark_{name}", default=False)
    )
    return next((f"--benchmark-{name}" for name in named), "")


def admit(config: pytest.Config, items: Iterable[pytest.Item]) -> None:
    """Under `--benchmark-only` portable tests are benchmarks if they are all timed."""
    if config.getoption("benchmark_only", default=False) and config.stash[SETTINGS].benchmark:
        for item in items:
            if is_portable(item):
                item.fixturenames.append("benchmark")  # type: ignore[attr-defined]


def show(request: pytest.FixtureRequest, verdicts: Iterable[Verdict]) -> None:
    """Hand the laps of one route to pytest-benchmark, by a clock that tells again what was
    measured.
    """
    timed = next((verdict for verdict in verdicts if "runs_ms" in verdict.evidence), None)
    session = getattr(request.config, "_benchmarksession", None)
    if timed is None or session is None or session.disabled or session.skip:
        return
    benchmark = request.getfixturevalue("benchmark")
    if benchmark._mode:  # one row for each test: the first call's
        return
    runs = timed.evidence["runs_ms"]
    clock = _told(runs)
    benchmark._timer = lambda: next(clock)
    benchmark.group = timed.subject
    benchmark.extra_info.update(
        {key: timed.evidence[key] for key in ("threads", "device", "load_ms", "first_ms", "busy")}
    )
    benchmark.pedantic(_nothing, rounds=len(runs))


def _told(runs: Iterable[float]) -> Iterator[float]:
    """When each run began and ended, in seconds."""
    now = 0.0
    for run in runs:
        yield now
        now += run / 1e3
        yield now


def _nothing() -> None:
    """What was measured has been called already."""
