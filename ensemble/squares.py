"""Squares of regrets, summed so that they can be read under any policy: what second-order rules weigh experts by.

In a round of class c, with w = costs[c], y = targets[c] and q the importance weight, the regret to expert i is

    r = q w (loss(x) - loss(p)),    x the forecast, p the expert's score.

Put u = p - x, s = p^2 - x^2, t = [p >= 1/2] - [x >= 1/2], a = log p - log x, b = log(1 - p) - log(1 - x). Then

    brier       r = q w (2 y u - s)           r^2 = q^2 w^2 (s s - 4 y u s + 4 y^2 u u)
    absolute    r = q w (2 y - 1) u           r^2 = q^2 w^2 u u
    log         r = q w (y a + (1 - y) b)     r^2 = q^2 w^2 (y^2 a a + 2 y (1 - y) a b + (1 - y)^2 b b)
    zero_one    r = q w (2 y - 1) t           r^2 = q^2 w^2 t t

so the sums of q^2 times these seven products answer for every target, cost and loss. They are what Squint (Koolen & van
Erven 2015) and MLpol (Gaillard, Stoltz & van Erven 2014) know of the past beside R.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import numpy as np

from ensemble.policy import Loss, Policy
from ensemble.rounds import Floats

PRODUCTS: Final = ("uu", "us", "ss", "tt", "aa", "ab", "bb")
UU, US, SS, TT, AA, AB, BB = range(7)
"""The axis P."""

_SQUARES: dict[Loss, Callable[[Floats, Floats], Floats]] = {
    "brier": lambda sums, y: sums[..., SS] - 4.0 * y * sums[..., US] + 4.0 * y * y * sums[..., UU],
    "absolute": lambda sums, y: sums[..., UU],
    "log": lambda sums, y: y * y * sums[..., AA] + 2.0 * y * (1.0 - y) * sums[..., AB] + (1.0 - y) ** 2 * sums[..., BB],
    "zero_one": lambda sums, y: sums[..., TT],
}


def products(apart: Floats) -> Floats:
    """The seven products [P, ...] from the differences [M1:, ...] of the statistics of two scores."""
    u, s, a, b, t = apart
    found = np.empty((len(PRODUCTS), *u.shape))
    for cell, one, other in zip(found, (u, u, s, t, a, a, b), (u, s, s, t, a, b, b), strict=True):
        np.multiply(one, other, out=cell)
    return found


def squared_regret(sums: Floats, policy: Policy) -> Floats:
    """V, the sum of squared regrets under a policy: sums[..., C, P] -> [...], in units of loss squared."""
    of_class = _SQUARES[policy.loss](sums, np.array(policy.targets))
    squares: Floats = np.sum(of_class * np.square(policy.costs), axis=-1)
    return squares
