"""Is one thing slower than another by more than a margin? Decided while the pairs come in, at known
error rates.

Each pair gives the logarithm of a ratio. Two sign tests run beside each other: one for "more than
half of all pairs lie above the margin", one for "more than half lie below". Each is an e-process:
the likelihood of the signs under a mixture of all probabilities between 1/2 and 1, over their
likelihood under 1/2. Under its null hypothesis that is a supermartingale, so that it ever reaches
1/alpha has a probability of at most alpha, whatever rule stops the pairs (Ville's inequality; H.
Robbins, "Statistical methods related to the law of the iterated logarithm", 1970). It assumes
nothing of the distribution of times.
"""

from __future__ import annotations

import bisect
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import Enum

#: Pairs before anything is decided: fewer all of one sign could be a machine that changed its mind
#: once.
LEAST = 12


class Side(Enum):
    """Where the median of all pairs lies."""

    BELOW = "below"
    ABOVE = "above"


class Evidence:
    """How much more likely the hits so far are under a uniform mixture of p in (1/2, 1) than under
    p = 1/2.

    With k hits of n: 2**(n + 1) * B(k + 1, n - k + 1) * P(Binomial(n + 1, 1/2) <= k), by the
    integral of p**k (1 - p)**(n - k).
    """

    def __init__(self) -> None:
        self.hits = self.count = 0
        self._tail = (
            0.5  # P(Binomial(count + 1, 1/2) <= hits), kept up to date instead of summed anew
        )

    def add(self, hit: bool) -> float:  # noqa: FBT001 - it is what it is
        """One more. Returns the ratio."""
        if hit:
            self._tail += math.exp(_log_half(self.hits + 1, self.count + 1)) / 2
        else:
            self._tail -= math.exp(_log_half(self.hits, self.count + 1)) / 2
        self.hits += hit
        self.count += 1
        beta = (
            math.lgamma(self.hits + 1)
            + math.lgamma(self.count - self.hits + 1)
            - math.lgamma(self.count + 2)
        )
        return math.exp((self.count + 1) * math.log(2) + beta) * max(self._tail, 0.0)


def _log_half(hits: int, count: int) -> float:
    """Log P(Binomial(count, 1/2) = hits)."""
    return (
        math.lgamma(count + 1)
        - math.lgamma(hits + 1)
        - math.lgamma(count - hits + 1)
        - count * math.log(2)
    )


def binomial_below(hits: int, count: int, p: float) -> float:
    """P(Binomial(count, p) < hits)."""
    if hits <= 0:
        return 0.0
    if hits > count:
        return 1.0
    log_p, log_q = math.log(p), math.log1p(-p)
    fixed = math.lgamma(count + 1)
    terms = (
        fixed - math.lgamma(k + 1) - math.lgamma(count - k + 1) + k * log_p + (count - k) * log_q
        for k in range(hits)
    )
    return min(1.0, math.fsum(map(math.exp, terms)))


@dataclass
class SignTest:
    """margin: the ratio in question; 1.05 asks about 5 % slower. alpha: the largest probability of
    each wrong decision.
    """

    margin: float
    alpha: float = 0.01
    logs: list[float] = field(default_factory=list)
    above: Evidence = field(default_factory=Evidence)
    below: Evidence = field(default_factory=Evidence)
    decided: Side | None = None

    def add(self, ratio: float) -> Side | None:
        """One more pair. Returns the decision once there is one; it stays. Raises `ValueError` for
        a ratio that is none.
        """
        if not (math.isfinite(ratio) and ratio > 0):
            raise ValueError(f"ratio {ratio!r}: times must be positive")
        self.logs.append(math.log(ratio))
        above, below = self.above.add(ratio > self.margin), self.below.add(ratio < self.margin)
        if self.decided is None and len(self.logs) >= LEAST:
            if above >= 1 / self.alpha:
                self.decided = Side.ABOVE
            elif below >= 1 / self.alpha:
                self.decided = Side.BELOW
        return self.decided

    @property
    def ratio(self) -> float:
        """The median ratio so far."""
        return math.exp(quantile(sorted(self.logs), 0.5))

    @property
    def interval(self) -> tuple[float, float]:
        """Where the median ratio of all pairs lies with 1 - alpha on each side, by order
        statistics.
        """
        low, high = bounds(sorted(self.logs), 0.5, self.alpha)
        return math.exp(low), math.exp(high)


def quantile(ordered: Sequence[float], share: float) -> float:
    """The element that at least this share of the others does not exceed."""
    return ordered[min(len(ordered) - 1, max(0, math.ceil(share * len(ordered)) - 1))]


def bounds(ordered: Sequence[float], share: float, alpha: float) -> tuple[float, float]:
    """Below and above which a quantile of the whole lies with a probability of alpha each; infinite
    where unknown.

    The i-th smallest of n exceeds the quantile unless at least i of n lie below it: P(Binomial(n,
    share) >= i).
    """
    count = len(ordered)
    ranks = range(1, count + 1)
    low = bisect.bisect_right(ranks, alpha, key=lambda rank: binomial_below(rank, count, share))
    high = bisect.bisect_left(ranks, 1 - alpha, key=lambda rank: binomial_below(rank, count, share))
    return (ordered[low - 1] if low else -math.inf, ordered[high] if high < count else math.inf)
