"""Regret and its bound, from the moments: how much better one expert did, and how much better it can have done.

regret_i = loss of the verdicts' scores in the rounds in which expert i was awake - loss of expert i in them. It has two
parts: of the forecast p[0] that never forgets against expert i, and of the score against p[0]. Write w = w_max, r = the
width of a round's loss, T for the labelled rounds, D for the total delay, and number the rounds in scoring order; m_t
labels of earlier rounds are missing when round t is forecast, sum_t m_t = D. The weights of a forecast are proportional
to pi_i exp(eta R_i) over the awake, R_i summed over the labels it had.

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

The half-lives are the second level: H experts that never sleep, the same eta, a uniform prior, L[h] over all rounds.
Together:

    brier, log     ln(1 / pi_i) / eta + ln H / eta + min( 2 g D, 2 (eta r^2 / 8) (T + 2 D) )

with g = w / 4 for brier and r for log, so Brier without delay costs 2 w (ln K + ln H) however long it runs, and each
missing label w / 2 at most. With importance weights q >= 1 the losses are q loss, exp-concavity is lost, and the second
form holds with sum q^2 for T and D weighted as in `moments.py`.

absolute: eta_t = c / (w sqrt(u_t + 1)), c = sqrt(8 ln K), u_t the labels read. ln(Phi) / eta never grows when eta
falls, so take the rate of no delay, c / (w sqrt t), for the potential. The forecast's true exponent differs from it by
a width of at most (rate gap) w u_t + m c / sqrt t <= 3/2 eta_t w m (mean value theorem). So one level grows by c w / (8
sqrt t) + w min(1, k m_t / sqrt(t - m_t)) with k = 3c/8, the last term convex in m_t until it is 1, at m_t >= sqrt(t) /
(1 + k). With sum m_t = D that is worst when the first rounds are saturated, and sum sqrt(t) over x of them is at least
2/3 x^1.5: at most x = (3/2 (1 + k) D)^(2/3) of them. Two levels:

    absolute       w sqrt(T) (ln(1 / pi_i) / c + ln H / c + c / 2) + 2 w (3/2 (1 + k) D)^(2/3)

zero_one, and absolute with q above 1, have no bound here (inf): thresholding a mixture is not convex, and the anytime
rate is not weighted.

Sleepers. The second level is bounded over all rounds, not over those of expert i. What it may have lost there is what
it won where i slept, S_i = loss of p[0] - loss of the score while i slept, which the moments know: bound_i has max(0,
S_i) added. (It cannot be left out: let p[0] be right exactly while i is awake.) An expert that never slept has 0.

Since a policy change. The weights at the change are the prior: Phi starts from sum_i pi_i exp(eta R_i(baseline)), so
the cost of the prior is ln(1 / pi_i) / eta + ln(that sum) / eta_0 - R_i(baseline), in the same way for half-lives.
Labels that come after it may be of turns that the old policy forecast. They were scored first, so the j-th of them
misses j - 1 of the others, D >= j (j - 1) / 2, and there are at most j = (1 + sqrt(1 + 8 D)) / 2, each costing r at
either level: 2 r j is added (with weights 2 r (D + sqrt(sum q^2))).

Newcomers, the retired and shadows. Who does not vote sleeps: its term of the potential stands still. So the panel may
change at any time, and K counts every expert that ever voted: with pi uniform over them, weights over those awake are
what they would have been had all been known from the start. A shadow's rounds stand in a row of their own
(`shadows.py`), which has no part in weights, K, bound, ratio and alarm; its losses and the regret to it are told beside
them.

What no bound covers: a forecast that had read a label which was corrected later, a prior that was not the one named
here, and, under the absolute loss, whose rate depends on K, a panel that grew. The moments are then those of the
corrected history, and the forecasts were made from another one.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import ArrayLike

from ensemble.forecaster import checked_prior, regrets
from ensemble.losses import cumulative, eta, rate_scale, span
from ensemble.moments import Moments, align, subtract, zero
from ensemble.policy import Policy
from ensemble.rounds import Floats
from ensemble.shadows import expert_of, shadows_of, voters_of


@dataclass(frozen=True, eq=False)
class RegretReport:
    """Losses, regrets and bounds of one context under one policy, in units of loss."""

    experts: tuple[str, ...]
    """K that voted."""
    rounds: int
    """T, labelled rounds."""
    delay: float
    """D, labels missing, summed over the labelled rounds (turns; weighted where labels are sampled)."""
    loss: float
    """Of the published scores, over all rounds."""
    losses: Floats
    """[K] of each expert, over the rounds in which it was awake."""
    regret: Floats
    """[K] of the published scores to each expert, over the rounds in which it was awake."""
    bounds: Floats
    """[K] what `regret` cannot exceed; inf where nothing is guaranteed."""
    bound: float
    """The bound of the expert to which regret is largest."""
    ratio: float
    """The largest regret[i] / bounds[i]: above 1 is an alarm, at or below 0 the ensemble beats every expert."""
    alarm: bool
    """Some regret is above its bound: a bug or a wrong label stream, not bad luck."""
    shadows: tuple[str, ...] = ()
    """S experts with rounds in which they had no vote; an expert may be among `experts` too, for its other rounds."""
    shadow_losses: Floats = field(default_factory=lambda: np.zeros(0))
    """[S] of each, over the rounds in which it was a shadow and advised."""
    shadow_regret: Floats = field(default_factory=lambda: np.zeros(0))
    """[S] of the published scores to each, over those rounds. Nothing bounds it, and it raises no alarm."""


def report(
    moments: Moments, policy: Policy, *, baseline: Moments | None = None, prior: ArrayLike | None = None
) -> RegretReport:
    """Regret to every expert that the moments know, and its bound; and to every shadow, without one.

    With `baseline`, a copy of the moments when the policy changed, both are since the change. `prior[K]`, in the order
    of those of `moments.experts` that voted, is the one that the forecasts started from, uniform unless given. Pass
    moments with every expert that ever advised, also retired ones: K in the bound counts them.

    Raises MomentsMismatchError when baseline and moments have other half-lives, AdviceError when the prior is no
    distribution.
    """
    told = _of_voters(align(moments, voters_of(moments.experts)), policy, baseline, prior)
    names = shadows_of(moments.experts)
    if not names:
        return told
    since = align(moments if baseline is None else subtract(moments, baseline), names)
    losses = cumulative(since.own, policy)
    regret = cumulative(since.published, policy) - losses
    shadows = tuple(map(expert_of, names))
    return replace(told, shadows=shadows, shadow_losses=losses, shadow_regret=regret)


def _of_voters(moments: Moments, policy: Policy, baseline: Moments | None, prior: ArrayLike | None) -> RegretReport:
    before = zero(moments.experts, moments.half_lives) if baseline is None else align(baseline, moments.experts)
    since = moments if baseline is None else align(subtract(moments, before), moments.experts)
    shown = cumulative(since.published, policy)
    losses = cumulative(since.own, policy)
    loss = float(cumulative(since.total[0], policy))
    steady = cumulative(since.hedge, policy)[0]  # p[0], over all rounds
    slept = (steady - cumulative(since.forecast, policy)[0]) - (loss - shown)
    delay = max(0.0, moments.delay - before.delay)
    bounds = _prior_cost(moments, before, policy, prior) + np.maximum(slept, 0.0)
    bounds += _growth(before.rounds, since, delay, policy)
    if baseline is not None:
        bounds += _old_forecasts(since, delay, policy)
    regret = shown - losses
    tolerance = 1e-9 * (1.0 + span(policy) * moments.counted)  # of sums in float64
    worst = int(regret.argmax()) if len(regret) else None
    return RegretReport(
        experts=moments.experts,
        rounds=since.rounds,
        delay=delay,
        loss=loss,
        losses=losses,
        regret=regret,
        bounds=bounds,
        bound=math.inf if worst is None else float(bounds[worst]),
        ratio=0.0 if worst is None else float((regret / np.maximum(bounds, tolerance)).max()),
        alarm=bool((regret > bounds + tolerance).any()),
    )


def _prior_cost(moments: Moments, before: Moments, policy: Policy, prior: ArrayLike | None) -> Floats:
    """[K] what not being known from the start costs: of expert i, and of the half-life that never forgets."""
    experts, half_lives = len(moments.experts), len(moments.half_lives)
    first = float(eta(policy, before.rounds, experts))
    last = float(eta(policy, max(moments.rounds - 1, before.rounds), experts))
    log_pi = np.log(checked_prior(prior, experts))
    led = regrets(before, policy)[0]
    lost = cumulative(before.hedge, policy)
    of_expert = -log_pi / last + _log_sum_exp(log_pi + first * led) / first - led
    of_half_life = math.log(half_lives) / last + _log_sum_exp(-first * lost - math.log(half_lives)) / first + lost[0]
    cost: Floats = of_expert + of_half_life
    return cost


def _growth(before: int, since: Moments, delay: float, policy: Policy) -> float:
    """How far both potentials together can have grown, in units of loss."""
    every_turn = _every_turn(since)
    if policy.loss in ("brier", "log"):
        rate, width = float(eta(policy, 0, 1)), span(policy)
        generic = 2.0 * rate * width**2 / 8.0 * (since.squares + 2.0 * delay)
        one_missing = policy.w_max / 4.0 if policy.loss == "brier" else width
        return min(generic, 2.0 * one_missing * delay) if every_turn else generic
    if policy.loss == "zero_one" or not every_turn:
        return math.inf
    scale = rate_scale(len(since.experts))
    steps = scale / 2.0 * (math.sqrt(before + since.rounds) - math.sqrt(before))
    saturated = math.pow(1.5 * (1.0 + 3.0 * scale / 8.0) * delay, 2.0 / 3.0)
    return policy.w_max * (steps + 2.0 * saturated)


def _old_forecasts(since: Moments, delay: float, policy: Policy) -> float:
    """What turns that the old policy forecast and people labelled after the change can have cost."""
    if _every_turn(since):
        return span(policy) * (1.0 + math.sqrt(1.0 + 8.0 * delay))
    return 2.0 * span(policy) * (delay + math.sqrt(max(0.0, since.squares)))


def _every_turn(moments: Moments) -> bool:
    """Whether all q are 1: q >= 1, so sum q^2 = sum q only then."""
    return bool(moments.squares <= moments.counted + 1e-9 * (1.0 + abs(moments.counted)))


def _log_sum_exp(logs: Floats) -> float:
    top = float(logs.max(initial=-math.inf))
    return top + math.log(float(np.exp(logs - top).sum())) if math.isfinite(top) else 0.0
