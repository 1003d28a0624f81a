"""Runs and pairs of runs: what a port's calls take on this machine now, and whether the machine was
its own at the time.
"""

from __future__ import annotations

import random
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from pytest_modelport.checks._latency_sign_test import SignTest, bounds, quantile
from pytest_modelport.cleanroom.stopwatch import Lap
from pytest_modelport.core.verdict import Outcome, Verdict
from pytest_modelport.workbench.workbench import Workbench

#: Warming up ends when the median of this many calls is within this share of the one before, or
#: when time is over.
_CHUNK, _STEADY, _WARM_SECONDS = 5, 0.05, 2.0
#: A machine is busy with something else where more calls than this had to wait, where calls got
#: less of the processor than this, or where the medians of the segments differ by more than this.
_WAITED, _GOT, _APART = 0.05, 0.9, 0.10
_SEGMENTS, _BETWEEN = 3, 0.05
_MOST_PAIRS = 1000
#: Seconds for each question, and before it is asked a second time.
SECONDS, _PAUSE = 10.0, 2.0


class Timed(Protocol):
    """What can be timed: a session that is prepared."""

    def laps(self, count: int, warm: int = 0) -> list[Lap]:
        """So many timed calls, after others that are not."""


def warm_up(timed: Timed) -> int:
    """Call until calls take as long as those before. Returns how many it took."""
    ends, before, calls = time.monotonic() + _WARM_SECONDS, 0.0, 0
    while True:
        now = statistics.median(lap.wall for lap in timed.laps(_CHUNK))
        calls += _CHUNK
        if (before and abs(now / before - 1) <= _STEADY) or time.monotonic() >= ends:
            return calls
        before = now


@dataclass(frozen=True)
class Runs:
    """Timed calls in segments. alone: the processor was one thread's, so that time it did not get
    is somebody else's.

    disturbed: what else is known against these times.
    """

    segments: tuple[tuple[Lap, ...], ...]
    alone: bool
    disturbed: str = ""

    @property
    def walls(self) -> list[float]:
        """Seconds of every call, in order."""
        return [lap.wall for segment in self.segments for lap in segment]

    @property
    def median(self) -> float:
        """Seconds."""
        return statistics.median(self.walls)

    @property
    def gpu(self) -> float | None:
        """Median seconds by the GPU's own events; None where the runtime has none."""
        laps = [lap.gpu for segment in self.segments for lap in segment]
        known = [seconds for seconds in laps if seconds is not None]
        return statistics.median(known) if known and len(known) == len(laps) else None

    def bounds(self, share: float, alpha: float) -> tuple[float, float, float]:
        """A quantile of these runs, and between what that of all runs lies."""
        walls = sorted(self.walls)
        return quantile(walls, share), *bounds(walls, share, alpha)

    @property
    def busy(self) -> str:
        """Why the machine was not its own, or an empty string."""
        if self.disturbed:
            return self.disturbed
        laps = [lap for segment in self.segments for lap in segment]
        waited = sum(lap.preempted > 0 for lap in laps) / len(laps)
        if waited > _WAITED:
            return f"{waited:.0%} of the calls had to wait for the processor"
        got = sum(lap.cpu for lap in laps) / sum(lap.wall for lap in laps)
        if self.alone and got < _GOT:
            return f"calls got {got:.0%} of the processor"
        medians = [statistics.median(lap.wall for lap in segment) for segment in self.segments]
        if max(medians) / min(medians) - 1 > _APART:
            longer = max(medians) / min(medians) - 1
            return f"calls took {longer:.0%} longer at one time than at another"
        return ""


def runs(
    timed: Timed, count: int, seconds: float, *, alone: bool, watch: Callable[[], str] = str
) -> Runs:
    """`count` calls in three segments apart from each other, fewer when time is over.

    watch: asked after each segment what is known against the times just taken.
    """
    ends, each = time.monotonic() + seconds, -(-count // _SEGMENTS)
    segments: list[tuple[Lap, ...]] = []
    disturbed = ""
    for number in range(_SEGMENTS):
        laps: list[Lap] = []
        until = time.monotonic() + (ends - time.monotonic()) / (_SEGMENTS - number)
        while len(laps) < each and (not laps or time.monotonic() < until):
            laps += timed.laps(min(_CHUNK * 2, each - len(laps)), warm=0 if laps else 1)
        segments.append(tuple(laps))
        disturbed = disturbed or watch()
        time.sleep(_BETWEEN)
    return Runs(tuple(segments), alone, disturbed)


def paired(
    candidate: Timed, reference: Timed, margin: float, alpha: float, seconds: float, seed: int = 0
) -> SignTest:
    """Pairs of calls in random order until it is known on which side of the margin their ratio
    lies, or time is over.

    Each timed call follows one that is not timed: whoever had the processor last leaves its own
    data in the caches.
    """
    test, ends = SignTest(margin, alpha), time.monotonic() + seconds
    rng = random.Random(seed)  # noqa: S311 - a coin, not a secret
    while test.decided is None and len(test.logs) < _MOST_PAIRS and time.monotonic() < ends:
        if rng.getrandbits(1):
            first = _one(candidate)
            test.add(first / _one(reference))
        else:
            first = _one(reference)
            test.add(_one(candidate) / first)
    return test


def _one(timed: Timed) -> float:
    return timed.laps(1, warm=1)[0].wall


def milliseconds(values: Sequence[float]) -> list[float]:
    """Seconds for a reader."""
    return [round(value * 1e3, 4) for value in values]


def ready(workbench: Workbench, session: Any) -> None:
    """Give a session its inputs again, and warm it up."""
    session.prepare(workbench.feed(workbench.case.calls[0]), workbench.case.seed)
    warm_up(session)


def twice(ask: Callable[[], Verdict]) -> Verdict:
    """Asked again, once, where the machine did not let it be known."""
    verdict = ask()
    if verdict.outcome is not Outcome.INCONCLUSIVE:
        return verdict
    time.sleep(_PAUSE)
    return ask()
