"""Which turns people are asked to label, and what a label weighs then.

A turn is asked for with a probability that is known before it is drawn, higher where the experts differ, since there a
label tells most. With w the weights, p the scores of those awake and x the published score,

    d = 4 sum_i w_i (p_i - x)^2        the weighted variance over its largest value, 1/4 for scores in [0, 1]
    probability = ask + (ask_unsure - ask) d

and ask_unsure where nobody was awake. A label that was asked for counts q = 1 / probability, so that every sum of the
moments has the expectation that it would have if all turns were labelled (Horvitz & Thompson 1952; as importance
weighting in Beygelzimer, Dasgupta & Langford 2009). The floor on `ask` bounds q, and with it the variance.

A label that nobody asked for came because of what the verdict was: its probability is unknown. Its moments are kept
apart with q = 1, and a policy says with which weight they are added when they are read: `scaled`.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ensemble.errors import AdviceError
from ensemble.forecaster import Forecast
from ensemble.moments import SUMS, Moments, merge
from ensemble.policy import Policy
from ensemble.rounds import Floats

_QUADRATIC = ("squared", "importance")
"""Sums of q^2."""


def ask_probabilities(policy: Policy, scores: ArrayLike, awake: NDArray[np.bool_], forecast: Forecast) -> Floats:
    """[N] in [ask, ask_unsure], for scores[N, K] (any value where asleep), awake[N, K] and what was forecast of them.

    A turn's result is the same to the last bit alone and in any batch: sums over K are taken term by term. Raises
    AdviceError when the shapes differ.
    """
    advice = np.asarray(scores, np.float64)
    if advice.ndim != 2 or not advice.shape == awake.shape == forecast.weights.shape:
        raise AdviceError(f"scores {advice.shape}, awake {awake.shape}, weights {forecast.weights.shape} are not alike")
    if policy.ask == policy.ask_unsure:
        return np.full(len(advice), policy.ask)
    apart = np.where(awake, advice, 0.0) - np.where(forecast.decided, forecast.published, 0.0)[:, None]
    parts = np.where(awake, forecast.weights * apart * apart, 0.0)
    variance = np.zeros(len(advice))
    for k in range(parts.shape[1]):
        variance += parts[:, k]
    differ = np.where(forecast.decided, np.minimum(4.0 * variance, 1.0), 1.0)
    return np.minimum(policy.ask + (policy.ask_unsure - policy.ask) * differ, policy.ask_unsure)


def scaled(moments: Moments, weight: float) -> Moments:
    """The moments of the same rounds had each weighed `weight` times as much; how many they are stays.

    Additive: scaled(merge(a, b), w) is merge(scaled(a, w), scaled(b, w)). Raises AdviceError for a negative weight.
    """
    if not 0.0 <= weight < np.inf:
        raise AdviceError(f"weight {weight} must be finite and not negative")
    if weight == 1.0:
        return moments
    factors = {name: weight * weight if name in _QUADRATIC else weight for name in SUMS if name != "rounds"}
    return replace(moments, **{name: getattr(moments, name) * factor for name, factor in factors.items()})


def with_unasked(asked: Moments, unasked: Moments | None, weight: float) -> Moments:
    """The sum of both classes of labels, those that nobody asked for at this weight; at 0 they are not there at all."""
    return asked if unasked is None or weight == 0.0 else merge(asked, scaled(unasked, weight))
