"""Cumulative losses, read from the moments under a policy: the same sums answer for every loss, target and cost.

With w = costs[c] and y = targets[c], the loss of probability p on a round of class c, and its sum over q-weighted
rounds:

    brier      w (p - y)^2                                   w (m2 - 2 y m1 + y^2 n)
    absolute   w |p - y|, y in {0, 1}                        w ((1 - y) m1 + y (n - m1))
    log        -w (y log p + (1 - y) log(1 - p)), clipped    -w (y a + (1 - y) b)
    zero_one   w [[p >= 1/2] != y], y in {0, 1}              w ((1 - y) t + y (n - t))

Sources: Cesa-Bianchi & Lugosi 2006, ch. 2 and 3; the Brier score after Brier 1950.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike

from ensemble.policy import Loss, Policy
from ensemble.rounds import CLIP, M1, M2, A, B, Floats, N, T

_LOSSES: dict[Loss, Callable[[Floats, Floats], Floats]] = {
    "brier": lambda sums, y: sums[..., M2] - 2.0 * y * sums[..., M1] + y * y * sums[..., N],
    "absolute": lambda sums, y: (1.0 - y) * sums[..., M1] + y * (sums[..., N] - sums[..., M1]),
    "log": lambda sums, y: -(y * sums[..., A] + (1.0 - y) * sums[..., B]),
    "zero_one": lambda sums, y: (1.0 - y) * sums[..., T] + y * (sums[..., N] - sums[..., T]),
}


def cumulative(sums: Floats, policy: Policy) -> Floats:
    """The cumulative loss under a policy of whatever was summed: sums[..., C, S] -> [...]."""
    of_class = _LOSSES[policy.loss](sums, np.array(policy.targets))
    losses: Floats = np.sum(of_class * np.array(policy.costs), axis=-1)
    return losses


def span(policy: Policy) -> float:
    """The width of the interval [0, span] in which the loss of one round (with q = 1) lies."""
    return policy.w_max * (-math.log(CLIP) if policy.loss == "log" else 1.0)


def rate_scale(experts: int) -> float:
    """c = sqrt(8 ln K), the learning rate of the absolute loss at its first round, per 1 / w_max.

    K is taken as 2 at least: with one expert ln K is 0, and the half-lives above it would never learn.
    """
    return math.sqrt(8.0 * math.log(max(experts, 2)))


def eta(policy: Policy, rounds: ArrayLike, experts: int) -> Floats:
    """The learning rate after `rounds` labelled rounds (any shape) with K experts, per unit of loss.

    brier 1 / (2 w_max), the largest at which exp(-eta loss) is concave in p; log 1 / w_max, likewise; absolute and
    zero_one sqrt(8 ln K / (T + 1)) / w_max, anytime: T + 1 is the round being forecast.
    """
    counts = np.asarray(rounds, np.float64)
    if policy.loss == "brier":
        return np.full(counts.shape, 0.5 / policy.w_max)
    if policy.loss == "log":
        return np.full(counts.shape, 1.0 / policy.w_max)
    rates: Floats = rate_scale(experts) / policy.w_max / np.sqrt(counts + 1.0)
    return rates
