"""What a port may cost: budgets, checked when they are written down."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pytest_modelport.core.errors import UsageError, unknown
from pytest_modelport.request.quality_floors import quality_of

#: The largest probability of each wrong decision.
ALPHA = 0.01
#: More runs than this a test does not make, so a percentile that needs more cannot be had.
MOST_RUNS = 600
_MEDIAN = 0.5
#: Margins below this are smaller than what two builds of the same program differ by.
LEAST_MARGIN = 0.02
_PERCENTILE = re.compile(r"p(\d+(?:\.\d+)?)_ms")
_KNOWN = (
    "p50_ms",
    "p95_ms",
    "p99_ms",
    "load_ms",
    "first_ms",
    "speedup_vs_eager",
    "max_regression",
    "batch",
)


@dataclass(frozen=True)
class Baseline:
    """The last release. folder: its artifacts by route. environment: where they are opened; empty:
    where the new ones are.
    """

    folder: Path
    environment: str = ""


@dataclass(frozen=True)
class Latency:
    """percentiles: milliseconds that each may take, by share (0.95). speedup: how many times as
    fast as eager it must be.

    regression: how many times as long as the last release's artifact it may take (1.05). baseline:
    the release that has it. load_ms, first_ms: milliseconds to open the artifact, and of the first
    call. batch: sizes of the dim `batch` to report.
    """

    percentiles: Mapping[float, float] = field(default_factory=dict)
    speedup: float | None = None
    regression: float | None = None
    baseline: Baseline | None = None
    load_ms: float | None = None
    first_ms: float | None = None
    batch: tuple[int, ...] = ()

    @property
    def given(self) -> bool:
        """Whether anything is limited."""
        others = (self.speedup, self.regression, self.load_ms, self.first_ms)
        return bool(self.percentiles or self.batch) or any(limit is not None for limit in others)


@dataclass(frozen=True)
class Budgets:
    """latency: what calls may take. size_mb: megabytes (10**6 bytes) of files. parameters: numbers
    stored in them. memory_mb: megabytes that the process of a session may take more than before it
    opened the artifact. quality: the user's floors for what transforms leave of the original's
    answers.
    """

    latency: Latency = field(default_factory=Latency)
    size_mb: float | None = None
    parameters: float | None = None
    memory_mb: float | None = None
    quality: Mapping[str, Any] = field(default_factory=dict)

    @property
    def checks(self) -> tuple[str, ...]:
        """The checks that hold a port to what is limited."""
        size = self.size_mb is not None or self.parameters is not None
        asked = {
            "size": size,
            "memory": self.memory_mb is not None,
            "latency": self.latency.given,
            "quality": bool(self.quality),
        }
        return tuple(name for name, wanted in asked.items() if wanted)


Limits = Mapping[str, Any] | None


def budgets_of(
    latency: Limits = None,
    size: Limits = None,
    memory: Limits = None,
    quality: Limits = None,
    baseline: Baseline | None = None,
) -> Budgets:
    """Budgets as a user writes them: latency as `latency_of`, size `{"mb": 5, "parameters": 1e6}`,
    memory `{"mb": 200}`, quality as `quality_of`.

    Raises `UsageError`.
    """
    bytes_, kept = _read("size", size, ("mb", "parameters")), _read("memory", memory, ("mb",))
    return Budgets(
        latency_of(latency, baseline),
        bytes_.get("mb"),
        bytes_.get("parameters"),
        kept.get("mb"),
        quality_of(quality),
    )


def _read(name: str, given: Limits, known: tuple[str, ...]) -> dict[str, float]:
    if given is not None and not isinstance(given, Mapping):
        raise UsageError(f"{name} is {given!r}: give a dict with {' and '.join(map(repr, known))}")
    for key in given or {}:
        if key not in known:
            raise unknown(f"{name} budget", key, known)
    return {key: _positive(f"{name} {key}", value) for key, value in (given or {}).items()}


def latency_of(given: Mapping[str, Any] | None, baseline: Baseline | None = None) -> Latency:
    """What calls may take: `{"p95_ms": 5, "load_ms": 300, "speedup_vs_eager": 1.3,
    "max_regression": "5%"}`.

    Raises `UsageError`.
    """
    if given is not None and not isinstance(given, Mapping):
        raise UsageError(f"latency is {given!r}: give a dict such as {{'p95_ms': 5}}")
    percentiles: dict[float, float] = {}
    others: dict[str, Any] = {}
    for key, value in (given or {}).items():
        if percentile := _PERCENTILE.fullmatch(str(key)):
            percentiles[_share(percentile[1])] = _positive(key, value)
        elif key in _KNOWN:
            others[key] = value
        else:
            raise unknown("latency budget", key, _KNOWN)
    limits = {
        key: _positive(key, others[key])
        for key in ("load_ms", "first_ms", "speedup_vs_eager")
        if key in others
    }
    regression = _margin(others["max_regression"]) if "max_regression" in others else None
    speedup, load, first = (limits.get(key) for key in ("speedup_vs_eager", "load_ms", "first_ms"))
    return Latency(
        percentiles, speedup, regression, baseline, load, first, _sizes(others.get("batch", ()))
    )


def _sizes(value: Any) -> tuple[int, ...]:
    if not isinstance(value, (list, tuple)) or not all(
        isinstance(size, int) and size > 0 for size in value
    ):
        raise UsageError(f"latency batch is {value!r}: give a list of sizes such as [1, 8, 32]")
    return tuple(value)


def _share(percent: str) -> float:
    share = float(percent) / 100
    if not _MEDIAN <= share < 1:
        raise UsageError(f"p{percent}_ms: give a percentile from p50 to p99")
    if needed(share, ALPHA) > MOST_RUNS:
        raise UsageError(
            f"p{percent}_ms needs {needed(share, ALPHA)} runs, more than the {MOST_RUNS} made: "
            "p99 is the highest"
        )
    return share


def _positive(key: str, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not value > 0:
        raise UsageError(f"{key} is {value!r}: give a positive number")
    return float(value)


def _margin(value: Any) -> float:
    """`"5%"` or 0.05 as a ratio, 1.05."""
    text = str(value).strip()
    try:
        share = float(text.removesuffix("%")) / (100 if text.endswith("%") else 1)
    except ValueError:
        raise UsageError(f"max_regression is {value!r}: give a share such as '5%'") from None
    if not LEAST_MARGIN <= share < 1:
        raise UsageError(
            f"max_regression is {value!r}: "
            f"give a share from {LEAST_MARGIN:.0%} to 99%; less is noise"
        )
    return 1 + share


def needed(share: float, alpha: float) -> int:
    """The fewest runs whose largest bounds a quantile from above: 1 - share**n >= 1 - alpha."""
    return math.ceil(math.log(alpha) / math.log(share))
