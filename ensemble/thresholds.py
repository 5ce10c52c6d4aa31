"""Thresholds from the labelled stream: the scores at which a policy says needs_caution and unsafe, with an interval.

They are read from the histogram of published scores by class. A candidate is an edge of a bin, so it has two decimals;
what lies at or above an edge is exactly what a policy with that threshold decides, and sums of histograms give the
thresholds of all rounds in one. Write N for the rounds of the negative classes, F(t) for the share of them that the
publisher would call positive at t, f(t) for the share that was seen.

"rate" (Neyman & Pearson 1933: bound false alarms, then miss as little as possible). The threshold is the lowest edge
with f(t) <= the target rate a; the true one, t*, the lowest with F(t) <= a. The interval has two tails of 2.5 %, each
an exact binomial test (Clopper & Pearson 1934) of F(t) = a, read back as an edge:

    low     the lowest edge at which F > a is not certain: P(Bin(n, a) >= n f(t)) > 2.5 %
    high    the lowest edge at which F < a is certain:     P(Bin(n, a) <= n f(t)) <= 2.5 %

low > t* needs an error of the test at t*, high < t* an error at the last edge before t*: both are fixed places, so
P(low <= t* <= high) >= 95 %, for rounds drawn alike. These are the order statistics that bound a quantile (David &
Nagaraja, Order Statistics, 2003, ch. 7).

"cost". The threshold is the edge at which mistakes cost least (of equally cheap ones that nearest to the fixed value);
the interval spans the edges that may be the cheapest. Between an edge t and the cheapest one seen, s, m rounds change
sides, each of which saves at most w or costs at most w'. Were t cheapest, they would not save on average, and by
Chernoff's bound (`deviations.py`) their mean saving, put on [0, 1], exceeds w' / (w + w') so far with a probability of
at most exp(-m kl). An edge stays unless that is below 5 % / 100, for it is compared with 100 others, so the interval
covers the edge of least expected cost with 95 %.

Sampled labels weigh q. n is then the effective number: (sum q)^2 / sum q^2 (Kish 1965) overstates it where the false
alarms have larger q than the rest, and no q is above 1 / ask, so n = min((sum q)^2 / sum q^2, ask sum q); with n f(t)
for the count this is Korn & Graubard's interval (1998). At q = 1, n = N.

Until enough labels came both fixed values stand. Enough is when both intervals say something: high is below 1 (with no
false alarm at all that takes ln(40) / a = 3.7 / a negatives, a rule of three), and for costs low is above 0 as well:
the labels tell that some threshold is cheaper than deciding all turns alike.

What it does not know: past scores were published by past weights. Thresholds of a panel that has just changed are those
of the old one until new labels outnumber the old.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Final

import numpy as np
from numpy.typing import NDArray

from ensemble.deviations import kl, largest_q
from ensemble.moments import Moments
from ensemble.policy import CLASSES, SAFE, Policy
from ensemble.rounds import BINS, Floats

TAIL: Final = 0.025
"""Of each side of an interval of 95 %."""

MOST_COUNTED: Final = 1_000_000
"""Rounds beyond these do not narrow an interval: it is narrower than a bin already, and the sums below stay short."""

Mask = NDArray[np.bool_]

_ROUNDING: Final = 1e-9
"""Of sums in float64, relative: what a correction leaves behind."""


@dataclass(frozen=True, slots=True)
class Threshold:
    """A score from which a class is decided, with its 95 % interval."""

    value: float
    """In [0, 1], two decimals where calibrated."""
    low: float
    """See the module for what [low, high] covers; both are `value` where the fixed value stands."""
    high: float
    effective: float
    """The labelled rounds that speak of it, as many as they would be if each counted alike."""
    calibrated: bool
    """Whether labels set it; else the policy's fixed value stands."""


@dataclass(frozen=True, slots=True)
class DecisionThresholds:
    """Those of one context: caution.value <= unsafe.value, and both are calibrated or none is."""

    caution: Threshold
    unsafe: Threshold

    def applied(self, policy: Policy) -> Policy:
        """The policy that decides by them."""
        if not self.unsafe.calibrated:
            return policy
        return replace(policy, caution_at=self.caution.value, unsafe_at=self.unsafe.value)


def calibrate(moments: Moments, policy: Policy) -> DecisionThresholds:
    """The thresholds that these labelled rounds give, or the policy's fixed ones, see the module."""
    if policy.thresholds == "fixed":
        return DecisionThresholds(_fixed(policy.caution_at, 0.0), _fixed(policy.unsafe_at, 0.0))
    counts = np.maximum(moments.histogram, 0.0)
    positive = (np.arange(len(CLASSES)) > SAFE, np.array(policy.targets) >= 0.5)
    of_one = _by_rate if policy.thresholds == "rate" else _by_cost
    caution, unsafe = (of_one(counts, moments.importance, policy, level, positive[level]) for level in range(2))
    if not (caution.calibrated and unsafe.calibrated):
        return DecisionThresholds(
            _fixed(policy.caution_at, caution.effective), _fixed(policy.unsafe_at, unsafe.effective)
        )
    if unsafe.value < caution.value:  # odd targets or rates; fewer are called unsafe, so its rate holds still
        unsafe = replace(unsafe, value=caution.value, high=max(unsafe.high, caution.value))
    return DecisionThresholds(caution, unsafe)


def _fixed(value: float, rounds: float) -> Threshold:
    return Threshold(value, value, value, rounds, calibrated=False)


def _by_rate(counts: Floats, squares: Floats, policy: Policy, level: int, positive: Mask) -> Threshold:
    """From counts[C, B] and squares[C] = sum q^2; `positive`[C] names the classes that are no false alarm."""
    negatives, target = counts[~positive].sum(axis=0), policy.false_alarms[level]
    n = _effective(negatives, squares[~positive], policy)
    if n < 1.0:
        return _fixed(0.0, n)
    shares = _at_or_above(negatives) / negatives.sum()
    whole = min(int(n + _ROUNDING * n), MOST_COUNTED)
    few, many = certain_counts(whole, target)
    value = _first(shares <= target + _ROUNDING)
    low = _first(shares < many / whole - _ROUNDING)
    high = _first(shares <= few / whole + _ROUNDING)
    return Threshold(value / BINS, low / BINS, high / BINS, n, calibrated=high < BINS)


def _by_cost(counts: Floats, squares: Floats, policy: Policy, level: int, positive: Mask) -> Threshold:
    """As `_by_rate`; every edge of the interval may be where mistakes cost least."""
    n = _effective(counts, squares, policy)
    if n < 1.0 or positive.all() or not positive.any():
        return _fixed(0.0, n)
    dear = counts * np.array(policy.costs)[:, None]
    false_alarms, hits = (_at_or_above(dear[classes].sum(axis=0)) for classes in (~positive, positive))
    costs = false_alarms + hits[0] - hits
    cheap = np.flatnonzero(costs <= costs.min() + _ROUNDING * dear.sum())
    fixed = (policy.caution_at, policy.unsafe_at)[level]
    best = int(cheap[np.abs(cheap / BINS - fixed).argmin()])
    doubt = _doubt(costs - costs[best], _at_or_above(counts.sum(axis=0)), best, policy, positive)
    possible = np.flatnonzero(doubt * n / counts.sum() <= math.log(BINS / (2.0 * TAIL)))
    low, high = int(possible[0]), int(possible[-1])
    return Threshold(best / BINS, low / BINS, high / BINS, n, calibrated=0 < low <= high < BINS)


def _doubt(saved: Floats, called: Floats, best: int, policy: Policy, positive: Mask) -> Floats:
    """[B + 1] m kl for each edge: how strongly what going on to the edge `best` saved speaks against it."""
    weights, below = np.array(policy.costs), np.arange(BINS + 1) < best
    of_negatives, of_positives = weights[~positive].max(), weights[positive].max()
    # Going up saves where a round is negative and loses where it is positive; going down, the other way round.
    most_lost = np.where(below, of_positives, of_negatives)
    width = of_negatives + of_positives
    moved = np.abs(called - called[best])
    mean = np.divide(saved, moved * width, out=np.zeros(BINS + 1), where=moved > 0.0) + most_lost / width
    doubt: Floats = moved * kl(np.minimum(mean, 1.0), most_lost / width)
    return doubt


def _effective(counts: Floats, squares: Floats, policy: Policy) -> float:
    weight = float(counts.sum())
    return weight / largest_q(weight, float(squares.sum()), policy.ask)


def _at_or_above(of_bins: Floats) -> Floats:
    """[B + 1] the sum of the bins from each edge on; nothing is at or above the last."""
    sums = np.zeros(BINS + 1)
    sums[:-1] = np.cumsum(of_bins[::-1])[::-1]
    return sums


def _first(condition: NDArray[np.bool_]) -> int:
    """The first edge at which it holds; the last edge, which no score passes, where it holds nowhere."""
    return int(condition.argmax()) if condition.any() else BINS


@lru_cache(maxsize=1024)
def certain_counts(n: int, rate: float) -> tuple[int, int]:
    """(few, many) of n rounds: the largest count with P(Bin(n, rate) <= few) <= 2.5 %, -1 if there is none, and the
    smallest with P(Bin(n, rate) >= many) <= 2.5 %."""
    centre, reach = int(n * rate), int(8.0 * math.sqrt(n * rate * (1.0 - rate))) + 20
    first, last = max(0, centre - reach), min(n, centre + reach)  # what lies outside has no weight in float64
    k = np.arange(first, last)
    log_first = math.lgamma(n + 1) - math.lgamma(first + 1) - math.lgamma(n - first + 1)
    log_first += first * math.log(rate) + (n - first) * math.log1p(-rate)
    steps = np.log((n - k) / (k + 1.0)) + math.log(rate) - math.log1p(-rate)
    chances = np.exp(log_first + np.concatenate([[0.0], np.cumsum(steps)]))
    few = first - 1 + int((np.cumsum(chances) <= TAIL).sum())
    many = last + 1 - int((np.cumsum(chances[::-1]) <= TAIL).sum())
    return few, many
