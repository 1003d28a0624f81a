"""The statistic behind latency budgets: its error rates, and every quantity against another way to
compute it.
"""

from __future__ import annotations

import math
import random
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_modelport.checks._latency_sign_test import (
    LEAST,
    Evidence,
    Side,
    SignTest,
    binomial_below,
    bounds,
    quantile,
)
from pytest_modelport.request.budgets import needed

ALPHA = 0.01


@given(st.lists(st.booleans(), min_size=1, max_size=40))
def test_the_evidence_is_the_integral_it_stands_for(seen):
    hits, count, evidence = sum(seen), len(seen), Evidence()
    found = [evidence.add(hit) for hit in seen][-1]
    # the integral of 2 p**k (1-p)**(n-k) over (1/2, 1), by the binomial theorem in exact fractions
    total = sum(
        Fraction((-1) ** power * math.comb(count - hits, power), hits + power + 1)
        * (1 - Fraction(1, 2 ** (hits + power + 1)))
        for power in range(count - hits + 1)
    )
    assert found == pytest.approx(float(2 * total * 2**count), rel=1e-9)


@pytest.mark.parametrize(
    ("hits", "count", "p"), [(0, 5, 0.5), (3, 7, 0.5), (90, 100, 0.95), (8, 7, 0.5)]
)
def test_binomial_tails(hits, count, p):
    exact = sum(
        math.comb(count, k) * p**k * (1 - p) ** (count - k) for k in range(min(hits, count + 1))
    )
    assert binomial_below(hits, count, p) == pytest.approx(exact)


def decided(shift: float, spread: float, seed: int, pairs: int = 400) -> tuple[Side | None, int]:
    """What becomes of pairs whose log ratios are drawn around a shift, heavy tails included."""
    rng, test = random.Random(seed), SignTest(1.05, ALPHA)
    while len(test.logs) < pairs and test.decided is None:
        heavy = 10 if rng.random() < 0.1 else 1
        test.add(math.exp(rng.gauss(shift, spread * heavy)))
    return test.decided, len(test.logs)


def share(side: Side | None, shift: float, spread: float, trials: int = 300) -> float:
    return sum(decided(shift, spread, seed)[0] is side for seed in range(trials)) / trials


@pytest.mark.parametrize("spread", [0.01, 0.1, 0.5])
def test_wrong_decisions_stay_below_alpha_even_at_the_margin(spread):
    """At the margin itself both answers are wrong; the tests are peeked at after every pair."""
    limit = ALPHA + 3 * math.sqrt(ALPHA / 300)
    assert share(Side.ABOVE, math.log(1.05), spread) <= limit
    assert share(Side.BELOW, math.log(1.05), spread) <= limit
    assert share(Side.ABOVE, 0.0, spread) <= limit
    assert share(Side.BELOW, math.log(1.1), spread) <= limit


def test_what_is_clearly_slower_or_not_is_said_soon():
    assert share(Side.ABOVE, math.log(1.2), 0.05) >= 0.99
    assert share(Side.BELOW, 0.0, 0.02) >= 0.99
    assert decided(math.log(1.2), 0.01, 0)[1] == LEAST


def test_a_decision_stays_and_a_ratio_must_be_one():
    test = SignTest(1.05, ALPHA)
    for _ in range(LEAST):
        test.add(2.0)
    assert test.decided is Side.ABOVE
    for _ in range(100):
        assert test.add(0.5) is Side.ABOVE
    for ratio in (0.0, -1.0, math.nan, math.inf):
        with pytest.raises(ValueError, match="times must be positive"):
            test.add(ratio)


def test_order_statistics_hold_the_quantile_as_often_as_they_say():
    rng, missed = random.Random(0), [0, 0]
    for _ in range(500):
        low, high = bounds(sorted(rng.random() for _ in range(100)), 0.95, ALPHA)
        missed[0] += low > 0.95
        missed[1] += high < 0.95
    assert max(missed) / 500 <= ALPHA + 3 * math.sqrt(ALPHA / 500)


def test_too_few_runs_bound_nothing():
    runs = sorted(random.Random(0).random() for _ in range(needed(0.95, ALPHA)))
    assert bounds(runs, 0.95, ALPHA)[1] == runs[-1]
    assert bounds(runs[:-1], 0.95, ALPHA)[1] == math.inf
    assert bounds(runs[:3], 0.5, ALPHA) == (-math.inf, math.inf)
    assert needed(0.5, ALPHA) == 7
    assert quantile([1.0, 2.0, 3.0, 4.0], 0.5) == 2.0
