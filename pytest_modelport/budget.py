"""What a port may cost: budgets, checked when they are written down."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pytest_modelport.errors import UsageError, unknown
from pytest_modelport.sequential import needed

#: The largest probability of each wrong decision.
ALPHA = 0.01
#: More runs than this a test does not make, so a percentile that needs more cannot be had.
MOST_RUNS = 600
_MEDIAN = 0.5
#: Margins below this are smaller than what two builds of the same program differ by.
LEAST_MARGIN = 0.02
_PERCENTILE = re.compile(r"p(\d+(?:\.\d+)?)_ms")
_KNOWN = ("p50_ms", "p95_ms", "p99_ms", "speedup_vs_eager", "max_regression")


@dataclass(frozen=True)
class Latency:
    """percentiles: milliseconds that each may take, by share (0.95). speedup: how many times as fast as eager it must be.

    regression: how many times as long as the last release's artifact it may take (1.05). baseline: the folder that
    has it, by route.
    """

    percentiles: Mapping[float, float] = field(default_factory=dict)
    speedup: float | None = None
    regression: float | None = None
    baseline: Path | None = None

    @property
    def given(self) -> bool:
        """Whether anything is limited."""
        return bool(self.percentiles) or self.speedup is not None or self.regression is not None


def latency_of(given: Mapping[str, Any] | None, baseline: Path | None = None) -> Latency:
    """Budgets as a user writes them: `{"p95_ms": 5, "speedup_vs_eager": 1.3, "max_regression": "5%"}`. Raises `UsageError`."""
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
    speedup = _positive("speedup_vs_eager", others["speedup_vs_eager"]) if "speedup_vs_eager" in others else None
    regression = _margin(others["max_regression"]) if "max_regression" in others else None
    return Latency(percentiles, speedup, regression, baseline)


def _share(percent: str) -> float:
    share = float(percent) / 100
    if not _MEDIAN <= share < 1:
        raise UsageError(f"p{percent}_ms: give a percentile from p50 to p99")
    if needed(share, ALPHA) > MOST_RUNS:
        raise UsageError(
            f"p{percent}_ms needs {needed(share, ALPHA)} runs to be known, and {MOST_RUNS} are made: p99 is the last"
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
        raise UsageError(f"max_regression is {value!r}: give a share from {LEAST_MARGIN:.0%} to 99%; less is noise")
    return 1 + share
