"""How experts are weighed: five rules, read from the same moments, for each half-life by itself.

With prior pi, R the regret to expert i while it was awake and V the sum of its squared regrets (both decayed by the
half-life), w the span of a round's loss, q the largest importance weight that a turn of this policy has (1 / `ask`):

    exponential    pi_i exp(eta R_i)                                          (Cesa-Bianchi & Lugosi 2006, ch. 2)
    mean           pi_i                                                       R is ignored
    leader         pi_i if R_i is the largest of those awake, else 0          (follow the leader; same, 3.2)
    squint         pi_i sum_j gamma eta_j exp(eta_j R_i - eta_j^2 V_i)        (Koolen & van Erven 2015)
    mlpol          max(R_i, 0) / ((w q)^2 + V_i), pi_i if none is above 0     (Gaillard, Stoltz & van Erven 2014)

Squint mixes the learning rates eta_j = 2^-j / (2 w q), j < J, with gamma = 1 / J each, in place of its integral over
all of them: every step of its proof holds for any distribution of rates up to 1 / (2 w q). The range of the losses is
known, so MLpol has it where opera's code keeps the largest regret seen so far. `first_order.py` and `second_order.py`
prove what each guarantees.

Experts asleep are left out and the rest is normalised, so a rule is a table of log weights. Those that weigh by rank or
sign are made to fit: an expert that must weigh nothing as long as a better one is awake stands FAR below it, and
exp(-FAR) is 0 in float64.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import numpy as np

from ensemble.losses import cumulative, span
from ensemble.moments import Moments
from ensemble.policy import Policy, Rule
from ensemble.rounds import Floats
from ensemble.squares import squared_regret

RATES: Final = 16
"""J: the smallest rate, 2^-15 of the largest, is the best one for a regret to whose expert V is 2^30 (w q)^2, which
takes a billion rounds. More rates would cost ln J each expert.
"""

FAR: Final = 2000.0
"""Below what a log weight can be by itself: a prior is above 0, so its logarithm is above -745; so is log R, and
-log V above -710.
"""

TIED: Final = 1e-9
"""Of the span of a loss: leaders that are closer share by their prior. Sums of losses have such rounding errors, and
two experts that said the same must not differ by them.
"""

POSITIVE: Final = 1e-12
"""Of the span of a loss: from here on a regret is above 0 to MLpol, so that one that is 0 but for rounding is not."""


def regrets(moments: Moments, policy: Policy) -> Floats:
    """R[H, K]: the loss of each half-life's own forecast while expert i was awake, minus the loss of expert i,
    decayed.
    """
    learned: Floats = cumulative(moments.forecast, policy) - cumulative(moments.expert, policy)
    return learned


def squares(moments: Moments, policy: Policy) -> Floats:
    """V[H, K], what a sum of squares is: rounding may leave a difference of sums below 0."""
    return np.maximum(squared_regret(moments.squared, policy), 0.0)


def widest(policy: Policy) -> float:
    """w q: no regret of a round, importance weight included, is larger."""
    return span(policy) / policy.ask


def squint_rates(policy: Policy) -> Floats:
    """eta_j, [J], per unit of loss."""
    return np.asarray(np.exp2(-np.arange(float(RATES))) / (2.0 * widest(policy)))


def squint_potential(regret: Floats, squared: Floats, policy: Policy) -> Floats:
    """eta_j R - eta_j^2 V, [..., J], of R[...] and V[...]."""
    rates = squint_rates(policy)
    return rates * (regret[..., None] - rates * squared[..., None])


def log_weights(moments: Moments, policy: Policy, log_prior: Floats, rate: Floats) -> Floats:
    """[H, K] the weights of the policy's rule as logarithms, not normalised. log_prior[K]; rate[H] is the eta of
    exponential weights.
    """
    return _RULES[policy.forecaster](moments, policy, log_prior, rate)


def _exponential(moments: Moments, policy: Policy, log_prior: Floats, rate: Floats) -> Floats:
    return log_prior + rate[:, None] * regrets(moments, policy)


def _mean(moments: Moments, policy: Policy, log_prior: Floats, rate: Floats) -> Floats:
    return np.tile(log_prior, (len(rate), 1))


def _leader(moments: Moments, policy: Policy, log_prior: Floats, rate: Floats) -> Floats:
    """FAR below for each regret that is larger: whoever sleeps, the largest of those awake has all the weight."""
    regret = regrets(moments, policy)
    order = np.argsort(-regret, axis=-1, kind="stable")
    behind = -np.diff(np.take_along_axis(regret, order, axis=-1), axis=-1) > TIED * widest(policy)
    places = np.zeros_like(regret)
    np.put_along_axis(places, order[:, 1:], np.cumsum(behind, axis=-1, dtype=np.float64), axis=-1)
    return log_prior - FAR * places


def _squint(moments: Moments, policy: Policy, log_prior: Floats, rate: Floats) -> Floats:
    potential = squint_potential(regrets(moments, policy), squares(moments, policy), policy)
    by_rate = potential + np.log(squint_rates(policy) / RATES)
    top = by_rate.max(axis=-1)
    mixed: Floats = log_prior + top + np.log(np.exp(by_rate - top[..., None]).sum(axis=-1))
    return mixed


def _mlpol(moments: Moments, policy: Policy, log_prior: Floats, rate: Floats) -> Floats:
    regret = regrets(moments, policy)
    ahead = regret > POSITIVE * widest(policy)
    weighed = np.log(np.where(ahead, regret, 1.0)) - np.log(widest(policy) ** 2 + squares(moments, policy))
    return np.where(ahead, weighed, log_prior - FAR)


_RULES: dict[Rule, Callable[[Moments, Policy, Floats, Floats], Floats]] = {
    "exponential": _exponential,
    "mean": _mean,
    "leader": _leader,
    "squint": _squint,
    "mlpol": _mlpol,
}
