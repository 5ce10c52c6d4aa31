"""How far Squint and MLpol can lose to an expert: bounds that grow with V, the squared regrets to that very expert.

r_i is the regret of a round (0 where i slept), R_i its sum and V_i the sum of its squares, c = w q the largest |r_i|,
see `rules.py`. The loss is convex, so weights w_i and the mixture p of that round have loss(p) <= sum_i w_i loss_i: if
all earlier labels have been read, sum_i w_i r_i <= 0.

Squint (Koolen & van Erven 2015). For |x| <= 1/2, exp(x - x^2) <= 1 + x. With x = eta_j r_i,

    Phi = sum_i pi_i sum_j gamma exp(eta_j R_i - eta_j^2 V_i)

grows in a round by the factor 1 + sum_ij W_ij eta_j r_i at most, W_ij the term's share of Phi; that sum is a positive
multiple of sum_i w_i r_i, the weights being what they are: Phi never grows without delay. It starts at 1 and no term is
above the sum, so for each j, and hence for the best of them,

    R_i <= eta_j V_i + (ln(1 / pi_i) + ln J + G) / eta_j,    G = the growth of ln Phi

Delay. Let w' be the weights that all earlier labels would have given. Then ln Phi grows by at most (q_t / 2 c) sum_i
w'_i (loss(p) - loss_i) <= (q_t / 2 c) sum_i (w_i - w'_i) loss_i, that is by q_t / (2 q) times the total variation
between w and w', as losses lie in [0, w]. A missing round s multiplies the terms by exp(x - x^2) with |x| <= b = q_s /
2 q, within a width of 2 b (0, of sleepers, among them), and such a tilt moves them by at most tanh(width / 4) <=
q_s / (4 q). So the pair grows ln Phi by q_t q_s / (8 q^2), and all of them by G = D / (8 q^2).

Rounds of another policy or from another prior. x - x^2 <= 1/4 whatever x is, so no round grows ln Phi by more: 1/4 is
added to G for each. As missing rounds those of another policy may have larger q: then b > 1/2, the width is (b + 1/2)^2
and tanh(width / 4) <= (8 / 7) b / 2, so after a change G has D / (7 q^2).

MLpol (Gaillard, Stoltz & van Erven 2014; here the range is known). Put e_i = 1 / (c^2 + V_i) and
Phi = sum_i e_i max(R_i, 0)^2. As max(R + r, 0)^2 <= max(R, 0)^2 + 2 max(R, 0) r + r^2 and e falls to e' in a
round, the term of i becomes at most

    e' (max(R, 0)^2 + 2 max(R, 0) r) + e' r^2  <=  e (max(R, 0)^2 + 2 max(R, 0) r) + (e - e') r^2 + e' r^2

(the bracket is at least -r^2). The sum of e_i max(R_i, 0) r_i is a multiple of sum_i w_i r_i <= 0, or 0 where none of
those awake is ahead. So Phi grows by sum_i e_i r_i^2 at most. Over all rounds that is, for each expert, with
g = (c^2 + V_i) / (c^2 + V_i(before)), at most

    B_i = min( log2 g, ln g + c^2 (e_i(before) - e_i) )    (u <= log2(1 + u) for 0 <= u <= 1; e' r^2 <= ln(e / e'))

and at the end e_i max(R_i, 0)^2 <= Phi, so

    R_i <= sqrt( (c^2 + V_i) sum_k (e_k(before) max(R_k(before), 0)^2 + B_k) )

An expert with 0 < R_i <= POSITIVE c is not weighed, so that rounding decides nothing: its 2 e_i max(R_i, 0) r_i <= 2
POSITIVE is added to Phi in each round. Since a change only one round can be of another policy when D is 0, the first;
it adds c to each R_k(before). A prior has no part in it: before the first label Phi is 0.

Nothing is proven, so the bound is inf, under the zero-one loss, which is not convex; where some q is above 1 / `ask`;
and for MLpol with any delay, or since a change with sampled labels.
"""

from __future__ import annotations

import math

import numpy as np

from ensemble.rounds import Floats
from ensemble.rules import POSITIVE, RATES, regrets, squares, squint_potential, squint_rates, widest
from ensemble.stretch import Stretch, log_sum_exp


def squint_bounds(stretch: Stretch) -> Floats:
    """[K] what the forecast p[0] of Squint can lose to expert i while it was awake."""
    policy, log_prior = stretch.policy, stretch.log_prior
    if policy.loss == "zero_one" or not stretch.as_asked:
        return np.full(len(log_prior), math.inf)
    led, seen = regrets(stretch.before, policy)[0], squares(stretch.before, policy)[0]
    start = log_sum_exp(log_prior[:, None] - math.log(RATES) + squint_potential(led, seen, policy))
    missing = stretch.delay * policy.ask**2 / (7.0 if stretch.changed else 8.0)
    growth = missing + (stretch.foreign + stretch.moved) / 4.0
    rates, squared = squint_rates(policy), squares(stretch.moments, policy)[0]
    each = rates * squared[:, None] + (math.log(RATES) - log_prior[:, None] + start + growth) / rates
    return np.asarray(each.min(axis=-1) - led)


def mlpol_bounds(stretch: Stretch) -> Floats:
    """[K] what the forecast p[0] of MLpol can lose to expert i while it was awake."""
    policy = stretch.policy
    sampled_change = stretch.changed and not stretch.every_turn
    # A label that is missing once makes D at least 1: below that it is rounding.
    if policy.loss == "zero_one" or stretch.delay >= 0.5 or not stretch.as_asked or sampled_change:
        return np.full(len(stretch.log_prior), math.inf)
    wide = widest(policy)
    led = regrets(stretch.before, policy)[0]
    first, last = (wide**2 + squares(moments, policy)[0] for moments in (stretch.before, stretch.moments))
    ahead = np.maximum(led, 0.0) + (wide if stretch.changed else 0.0)
    gained = np.log(np.maximum(last / first, 1.0))
    grown = np.minimum(gained / math.log(2.0), gained + wide**2 * np.maximum(1.0 / first - 1.0 / last, 0.0))
    potential = float((ahead**2 / first + grown + 2.0 * POSITIVE * max(0, stretch.since.rounds)).sum())
    return np.asarray(np.sqrt(last * potential) - led)
