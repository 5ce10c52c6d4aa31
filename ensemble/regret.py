"""Regret and its bound, from the moments: how much better one expert did, and how much better it can have done.

regret_i = loss of the verdicts' scores in the rounds in which expert i was awake - loss of expert i in them. It has two
parts, each with a bound:

    of the forecast p[0], which never forgets, against expert i    as the policy's rule allows
    of the score against p[0]                                      as exponential weights allow

Brier under exponential weights, without delay: 2 w (ln K + ln H), however long it runs. For the plain mean and the
leader nothing bounds the first part: two constant experts and labels that alternate make the leader wrong in every
round. `first_order.py` and `second_order.py` have the proofs; where nothing is proven the bound is inf.

Sleepers. The second level is bounded over all rounds, not over those of expert i. What it may have lost there is what
it won where i slept, S_i = loss of p[0] - loss of the score while i slept, which the moments know: bound_i has max(0,
S_i) added. (It cannot be left out: let p[0] be right exactly while i is awake.) An expert that never slept has 0.

Since a policy change. Labels that come after it may be of turns that the old policy forecast. They were scored first,
so the j-th of them misses j - 1 of the others, D >= j (j - 1) / 2, and there are at most j = (1 + sqrt(1 + 8 D)) / 2.

An inherited prior. A context without labels is forecast from its parents' weights of that moment, which move; they
become its prior, fixed from then on, when its first label is read. So the rounds that were forecast before it, those
with `used` = 0, may have had another prior than the one named: the moments count them (`cold`), and where a prior is
given the bound allows for each of them all that one round can cost.

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
from collections.abc import Callable
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import ArrayLike

from ensemble.first_order import exponential_bounds, half_life_bound
from ensemble.forecaster import checked_prior
from ensemble.losses import cumulative, span
from ensemble.moments import Moments, align, subtract, zero
from ensemble.policy import Policy, Rule
from ensemble.rounds import Floats
from ensemble.second_order import mlpol_bounds, squint_bounds
from ensemble.shadows import expert_of, shadows_of, voters_of
from ensemble.stretch import Stretch


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
    of those of `moments.experts` that voted, is the one that the forecasts started from, uniform unless given; what was
    forecast before it was fixed is allowed for. Pass moments with every expert that ever advised, also retired ones: K
    in the bound counts them.

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
    stretch = Stretch(
        policy,
        before,
        moments,
        since,
        delay=max(0.0, moments.delay - before.delay),
        log_prior=np.log(checked_prior(prior, len(moments.experts))),
        changed=baseline is not None,
        moved=0.0 if prior is None else max(0.0, since.cold),
    )
    bounds = _rule_bounds(stretch) + half_life_bound(stretch) + np.maximum(slept, 0.0)
    regret = shown - losses
    tolerance = 1e-9 * (1.0 + span(policy) * moments.counted)  # of sums in float64
    worst = int(regret.argmax()) if len(regret) else None
    return RegretReport(
        experts=moments.experts,
        rounds=since.rounds,
        delay=stretch.delay,
        loss=loss,
        losses=losses,
        regret=regret,
        bounds=bounds,
        bound=math.inf if worst is None else float(bounds[worst]),
        ratio=0.0 if worst is None else float((regret / np.maximum(bounds, tolerance)).max()),
        alarm=bool((regret > bounds + tolerance).any()),
    )


def _rule_bounds(stretch: Stretch) -> Floats:
    """[K] what p[0] can lose to expert i."""
    proven: dict[Rule, Callable[[Stretch], Floats]] = {
        "exponential": exponential_bounds,
        "squint": squint_bounds,
        "mlpol": mlpol_bounds,
    }
    rule = proven.get(stretch.policy.forecaster)
    return np.full(len(stretch.log_prior), math.inf) if rule is None else rule(stretch)
