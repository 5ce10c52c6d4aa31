"""How far exponential weights can lose: to an expert, where they weigh the experts, and, under every rule, to the
half-life that never forgets.

Write w = w_max, r = the width of a round's loss, T for the labelled rounds, D for the total delay, and number the
rounds in scoring order; m_t labels of earlier rounds are missing when round t is forecast, sum_t m_t = D. The weights
of a forecast are proportional to pi_i exp(eta R_i) over the awake, R_i summed over the labels it had.

The potential (Freund et al. 1997; Cesa-Bianchi & Lugosi 2006, ch. 2, 3). Phi = sum_i pi_i exp(eta R_i) with R_i over
*all* rounds so far starts at 1 and ends at or above pi_i exp(eta R_i), so R_i <= ln(1 / pi_i) / eta + sum_t (growth of
ln Phi in round t) / eta. A sleeper's term does not change. Let p' be the forecast that all earlier labels would have
given, with weights w'. If exp(-eta loss) is concave, sum_i w'_i exp(-eta loss_i) <= exp(-eta loss(p')), and the growth
is at most eta (loss(p) - loss(p'))+. For any convex loss Hoeffding's lemma gives at most eta^2 r^2 / 8 + eta (sum_i
(w_i - w'_i) loss_i)+ instead.

Delay. One missing round multiplies weights by factors within exp(eta r) of each other (a sleeper's factor, 1, lies
among them, as the forecast's loss lies in [0, r] too), and m of them by exp(m eta r). Tilting a distribution so moves
it by at most tanh(m eta r / 4) <= m eta r / 4 in total variation, so |p - p'| <= m eta r / 4. Hence the growth of one
level, divided by eta, is at most

    brier (eta = 1 / 2w; |d loss / d p| <= 2w)     2w m / 8 = w m / 4
    log (eta = 1 / w; p' <= exp(m eta r) p)        r m
    any convex loss                                eta r^2 / 8 + eta r^2 m / 4

So one level costs, beside the prior's ln(1 / pi_i) / eta,

    brier, log     min( g D, (eta r^2 / 8) (T + 2 D) )

with g = w / 4 for brier and r for log. With importance weights q >= 1 the losses are q loss, exp-concavity is lost, and
the second form holds with sum q^2 for T and D weighted as in `moments.py`.

absolute: eta_t = c / (w sqrt(u_t + 1)), c = sqrt(8 ln K), u_t the labels read. ln(Phi) / eta never grows when eta
falls, so take the rate of no delay, c / (w sqrt t), for the potential. The forecast's true exponent differs from it by
a width of at most (rate gap) w u_t + m c / sqrt t <= 3/2 eta_t w m (mean value theorem). So one level grows by c w / (8
sqrt t) + w min(1, k m_t / sqrt(t - m_t)) with k = 3c/8, the last term convex in m_t until it is 1, at m_t >= sqrt(t) /
(1 + k). With sum m_t = D that is worst when the first rounds are saturated, and sum sqrt(t) over x of them is at least
2/3 x^1.5: at most x = (3/2 (1 + k) D)^(2/3) of them. With the prior:

    absolute       w sqrt(T) (ln(1 / pi_i) / c + c / 4) + w (3/2 (1 + k) D)^(2/3)

zero_one, and absolute with q above 1, have no bound here (inf): thresholding a mixture is not convex, and the anytime
rate is not weighted.

The half-lives are such a level: H experts that never sleep, the same eta, a uniform prior, L[h] over all rounds. Its
bound does not ask how the forecasts came about, so it is the same under every rule.

Since a policy change the weights at the change are the prior: Phi starts from sum_i pi_i exp(eta R_i(before)), so the
cost of the prior is ln(1 / pi_i) / eta + ln(that sum) / eta_0 - R_i(before), in the same way for half-lives. A round
that was forecast before the change costs r at most; j of them r j, with weights r (D + sqrt(sum q^2)): with S = sum q^2
and P = the sum of q_s q_t over pairs of them, their sum of q is sqrt(S + 2 P) <= sqrt(S) + P, as S >= 2 if there are
two, and P <= D.

Another prior. In a round in which the experts were weighed from another prior than pi the growth, divided by eta, is at
most r q, as no term grows more: r times the sum of q over such rounds is added.
"""

from __future__ import annotations

import math

from ensemble.losses import cumulative, eta, rate_scale, span
from ensemble.rounds import Floats
from ensemble.rules import regrets
from ensemble.stretch import Stretch, log_sum_exp


def exponential_bounds(stretch: Stretch) -> Floats:
    """[K] what the forecast p[0] of exponential weights can lose to expert i while it was awake."""
    first, last = _rates(stretch)
    led = regrets(stretch.before, stretch.policy)[0]
    cost: Floats = -stretch.log_prior / last + log_sum_exp(stretch.log_prior + first * led) / first - led
    return cost + _growth(stretch) + _foreign(stretch) + span(stretch.policy) * stretch.moved


def half_life_bound(stretch: Stretch) -> float:
    """What the score can lose to the forecast p[0], over all rounds."""
    first, last = _rates(stretch)
    lost = cumulative(stretch.before.hedge, stretch.policy)
    each = math.log(len(lost))
    cost = each / last + log_sum_exp(-first * lost - each) / first + float(lost[0])
    return cost + _growth(stretch) + _foreign(stretch)


def _rates(stretch: Stretch) -> tuple[float, float]:
    """eta of the first and of the last round."""
    before, experts = stretch.before.rounds, len(stretch.since.experts)
    last = max(stretch.moments.rounds - 1, before)
    return float(eta(stretch.policy, before, experts)), float(eta(stretch.policy, last, experts))


def _growth(stretch: Stretch) -> float:
    """How far the potential of one level can have grown, in units of loss."""
    policy, delay, since = stretch.policy, stretch.delay, stretch.since
    if policy.loss in ("brier", "log"):
        rate, width = float(eta(policy, 0, 1)), span(policy)
        generic = rate * width**2 / 8.0 * (since.squares + 2.0 * delay)
        one_missing = policy.w_max / 4.0 if policy.loss == "brier" else width
        return min(generic, one_missing * delay) if stretch.every_turn else generic
    if policy.loss == "zero_one" or not stretch.every_turn:
        return math.inf
    scale, before = rate_scale(len(since.experts)), stretch.before.rounds
    steps = scale / 4.0 * (math.sqrt(before + since.rounds) - math.sqrt(before))
    saturated = math.pow(1.5 * (1.0 + 3.0 * scale / 8.0) * delay, 2.0 / 3.0)
    return policy.w_max * (steps + saturated)


def _foreign(stretch: Stretch) -> float:
    """What turns that the old policy forecast and people labelled after the change can have cost one level."""
    if stretch.every_turn or not stretch.changed:
        return span(stretch.policy) * stretch.foreign
    return span(stretch.policy) * (stretch.delay + math.sqrt(max(0.0, stretch.since.squares)))
