"""How far a mean of labelled rounds can lie from what it estimates, whatever the losses are like inside [0, 1].

Let X_t in [0, 1] be the loss of turn t, with mean mu given the past, d_t in [0, 1] a weight that the past fixes (the
decay), and suppose that turn t is labelled with probability 1 / q_t, q_t <= Q, which may depend on the turn and so go
with X_t. Put g(x) = x ln(s / mu) + (1 - x) ln((1 - s) / (1 - mu)) for any s in (0, 1). Then, over the labelled turns,

    M(s) = exp(sum_t (q_t / Q) d_t g(X_t))    has    E M(s) <= 1.

For exp(g) is convex and has E exp(g(X_t)) <= mu (s / mu) + (1 - mu) (1 - s) / (1 - mu) = 1; by Jensen E exp(d g(X_t))
<= 1 for d <= 1; and in 1 + (exp(q y) - 1) / q, the mean over whether it is labelled, what follows the 1 grows with q
for every y, so q = Q is the worst. (At the best s this is Chernoff's bound, 1952, exp(-n kl(x || mu)).) s must not
depend on the data, but with sampling even the sum of weights does. So s is drawn uniformly from [0, 1] (the method of
mixtures, Robbins 1970): with x the weighted mean and n = sum q d / Q,

    M = integral of M(s) = B(n x + 1, n (1 - x) + 1) / (mu^(n x) (1 - mu)^(n (1 - x))),   E M <= 1,
    P(M >= 1 / delta) <= delta

by Markov's inequality. ln M is n kl(x || mu) less about ln(n) / 2. The means mu with ln M < ln(1 / delta) are an
interval around x that holds the true one with probability 1 - delta.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike

from ensemble.rounds import Floats


def largest_q(weight: float, squares: float, ask: float) -> float:
    """Q, from weight = sum q, squares = sum q^2 and the least probability of being asked for.

    It is 1 / ask; where labels were asked for less often before, the q of a typical unit of weight, which is sum q^2 /
    sum q, if that is larger. weight / Q is then min(ask sum q, (sum q)^2 / sum q^2).
    """
    return max(squares / weight if weight > 0.0 else 1.0, 1.0 / ask)


def kl(x: ArrayLike, mu: ArrayLike) -> Floats:
    """kl(x || mu) = x ln(x / mu) + (1 - x) ln((1 - x) / (1 - mu)), with mu in (0, 1), where x > mu, else 0: how far x
    lies above mu."""
    a, b = np.broadcast_arrays(np.asarray(x, np.float64), np.asarray(mu, np.float64))
    rest = 1.0 - a
    above: Floats = a * np.log(np.where(a > 0.0, a, 1.0) / b) + rest * np.log(
        np.where(rest > 0.0, rest, 1.0) / (1.0 - b)
    )
    return np.where(a > b, above, 0.0)


def evidence(n: float, x: float, mu: float) -> float:
    """ln M, see above: how strongly a mean x of n effective rounds speaks against the mean mu; inf if it rules it out.

    At or below 0 where mu = x.
    """
    hits, misses = n * x, n * (1.0 - x)
    if (hits > 0.0 and mu <= 0.0) or (misses > 0.0 and mu >= 1.0):
        return math.inf
    mixed = math.lgamma(hits + 1.0) + math.lgamma(misses + 1.0) - math.lgamma(n + 2.0)
    return mixed - (hits * math.log(mu) if hits else 0.0) - (misses * math.log1p(-mu) if misses else 0.0)


def disjoint(n: float, x: float, m: float, y: float, level: float) -> bool:
    """Whether no mean is compatible both with x of n effective rounds and with y of m: with `evidence` of at most
    `level` against it. Symmetric."""
    if n <= 0.0 or m <= 0.0 or evidence(n, x, y) <= level or evidence(m, y, x) <= level:
        return False
    inside, outside = x, y  # of the interval of x; the evidence grows on the way
    for _ in range(50):
        middle = (inside + outside) / 2.0
        if evidence(n, x, middle) <= level:
            inside = middle
        else:
            outside = middle
    return evidence(m, y, inside) > level
