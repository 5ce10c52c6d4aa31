"""The forecaster: weights over sleeping experts, under several half-lives, which are weighed by exponential weights.

With prior pi and learning rate eta, over the experts awake in the round (Freund, Schapire, Singer & Warmuth 1997;
Cesa-Bianchi & Lugosi 2006, ch. 2 and 3):

    R[i,h]  = loss of the forecast of h in the rounds in which i was awake - loss of i in them, decayed by h
    w[i|h]  proportional to  pi_i exp(eta R[i,h]), or as another of the rules says: see `rules.py`
    p[h]    = sum_i w[i|h] p_i
    L[h]    = loss of the forecast of h, undecayed
    v[h]    proportional to  exp(-eta L[h])
    score   = sum_h v[h] p[h]

Weights are kept as logarithms and normalised after their maximum is subtracted: a linear weight underflows, and then
stays dead. A newcomer has no rounds, so R = 0: it starts as if it had slept until now. A shadow
(`shadows.py`) is not in the panel: it has no weight, and its rounds without a vote are in no R.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ensemble.errors import AdviceError
from ensemble.losses import cumulative, eta
from ensemble.moments import Moments, align
from ensemble.policy import Policy
from ensemble.rounds import CLIP, Floats, N
from ensemble.rules import log_weights
from ensemble.shadows import voters_of

MOST_EXPERTS: Final = 64
"""An awake mask must fit into one machine word, so that turns with the same mask are found by sorting integers."""


@dataclass(frozen=True, eq=False, slots=True)
class Forecast:
    """What the ensemble says of N turns. Arrays may share memory between turns: read them only."""

    forecasts: Floats
    """[N, H] the forecast of each half-life; nan where nobody is awake."""
    weights: Floats
    """[N, K] the weight of each expert in the published score, sum_h v[h] w[i|h]: sums to 1, 0 where asleep."""
    published: Floats
    """[N] the score; nan where nobody is awake."""
    decided: NDArray[np.bool_]
    """[N] whether somebody was awake."""


@dataclass(frozen=True, eq=False)
class Forecaster:
    """The weights as of some moments, under one policy, for one panel of K experts. Make it with `Forecaster.of`."""

    experts: tuple[str, ...]
    log_w: Floats
    """[H, K] log of pi_i exp(eta R[i, h]), or of the weight by another rule, not normalised."""
    log_v: Floats
    """[H] log of exp(-eta L[h]), not normalised."""
    rounds: int
    """T: the labelled rounds that these weights have read."""
    used: float
    """The same, counted in importance weights (equal to `rounds` where every turn is labelled): store it with each turn
    for its delay.
    """
    clip: float
    """Scores are clipped to [clip, 1 - clip] before they are mixed: 1e-4 for the log loss, whose guarantee needs it,
    else 0.
    """
    _v: Floats = field(init=False, repr=False)
    _everyone: Floats = field(init=False, repr=False)
    """[H + 1, K] what `_given` answers when all are awake: turns are forecast often between two labels."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "_v", _softmax(self.log_v))
        object.__setattr__(self, "_everyone", self._given(np.ones(len(self.experts), np.bool_)))

    @classmethod
    def of(cls, moments: Moments, policy: Policy, experts: Sequence[str], prior: ArrayLike | None = None) -> Forecaster:
        """The forecaster for the panel `experts`, in its order, whatever experts the moments know. `prior[K]` is
        uniform unless given.

        Raises AdviceError when the panel has no or over 64 experts or names one twice, or the prior is no distribution
        with each above 0."""
        aligned = align(moments, experts)
        known = {*aligned.experts, *voters_of(moments.experts)}  # the K of the bound, which counts the retired too
        if not 1 <= len(aligned.experts) <= MOST_EXPERTS:
            raise AdviceError(f"a panel has 1 to {MOST_EXPERTS} experts: {len(aligned.experts)} were named")
        rate = eta(policy, recent_rounds(aligned), len(known))
        return cls(
            experts=aligned.experts,
            log_w=log_weights(aligned, policy, np.log(checked_prior(prior, len(aligned.experts))), rate),
            log_v=-rate[0] * cumulative(aligned.hedge, policy),
            rounds=moments.rounds,
            used=moments.counted,
            clip=CLIP if policy.loss == "log" else 0.0,
        )

    def forecast(self, scores: ArrayLike, awake: NDArray[np.bool_]) -> Forecast:
        """The forecast for advice scores[N, K] (any value where asleep), awake[N, K].

        A turn's result is the same to the last bit alone and in any batch: sums over K and H are taken term by term,
        never by a matrix product, whose order of summation depends on N. Raises AdviceError for a score of an awake
        expert outside [0, 1].
        """
        advice = np.asarray(scores, np.float64)
        if advice.ndim != 2 or advice.shape != awake.shape or advice.shape[1] != len(self.experts):
            raise AdviceError(f"scores {advice.shape} and awake {awake.shape} must both be [N, {len(self.experts)}]")
        if awake.all():
            return self._mix(advice, None, self._everyone[:, :, None])
        _, first, which = np.unique(awake @ _bits(len(self.experts)), return_index=True, return_inverse=True)
        table = np.stack([self._given(awake[n]) for n in first], axis=-1)
        return self._mix(np.where(awake, advice, 0.0), np.any(awake, axis=1), table[:, :, which])

    def weights(self) -> Floats:
        """[K] the weight of each expert in the published score when all are awake."""
        weights: Floats = self._everyone[-1]
        return weights

    def half_life_weights(self) -> Floats:
        """[H] the weight v[h] of each half-life."""
        weights: Floats = self._v
        return weights

    def _given(self, mask: NDArray[np.bool_]) -> Floats:
        """[H + 1, K] w[H, K] when these experts are awake, zeros when none is; and in the last row sum_h v[h] w[h]."""
        weights = np.zeros((len(self.log_w) + 1, len(self.experts)))
        if mask.any():
            weights[:-1] = _softmax(np.where(mask, self.log_w, -np.inf))
            for h, share in enumerate(self._v):
                weights[-1] += share * weights[h]
        return weights

    def _mix(self, advice: Floats, decided: NDArray[np.bool_] | None, w: Floats) -> Forecast:
        """Mix advice[N, K], in [0, 1] also where asleep, under w[H + 1, K, N] or, for all turns alike, w[H + 1, K, 1].
        None has decided all.

        The score is one more forecast, that of the weights in the last row: it costs a row, not a second mixture.
        """
        by_expert = np.ascontiguousarray(advice.T)
        if by_expert.size and not (by_expert.min() >= 0.0 and by_expert.max() <= 1.0):  # so written, nan is refused too
            raise AdviceError("a score of an expert that is awake is outside [0, 1]: let that expert sleep")
        if self.clip:
            by_expert = np.clip(by_expert, self.clip, 1.0 - self.clip)
        forecasts = by_expert[0] * w[:, 0]
        term = np.empty_like(forecasts)
        for k in range(1, len(by_expert)):
            forecasts += np.multiply(by_expert[k], w[:, k], out=term)
        np.minimum(forecasts, 1.0, out=forecasts)  # weights may sum to 1 + 2e-16
        if decided is None:
            decided = np.ones(len(advice), np.bool_)
        else:
            forecasts[:, ~decided] = np.nan
        weights = np.broadcast_to(w[-1].T, advice.shape)
        return Forecast(forecasts[:-1].T, weights, forecasts[-1], decided)


def recent_rounds(moments: Moments) -> Floats:
    """[H] the labelled rounds that each half-life remembers: T for infinity, else the decayed count, which T bounds.

    A short memory must keep a high learning rate: if T ruled it, its weights would grow uniform as T grows.
    """
    if not moments.experts:
        return np.full(len(moments.half_lives), float(moments.rounds))
    remembered = np.array(moments.expert[..., N].sum(axis=-1).max(axis=-1))
    remembered[0] = moments.rounds
    return np.asarray(np.clip(remembered, 0.0, moments.rounds))


def blend(parent_weights: ArrayLike, uniform: float = 0.1) -> Floats:
    """The prior[K] of a new context: its parent's weights and a share of uniform ones: no expert starts at 0."""
    weights = np.asarray(parent_weights, np.float64)
    prior: Floats = (1.0 - uniform) * weights / weights.sum() + uniform / len(weights)
    return prior


def checked_prior(prior: ArrayLike | None, experts: int) -> Floats:
    """The prior[K], uniform when None is given. Raises AdviceError when it is no distribution, or 0 for an expert."""
    if prior is None:
        return np.full(experts, 1.0 / max(experts, 1))
    weights = np.asarray(prior, np.float64)
    if weights.shape != (experts,) or not (weights > 0.0).all() or abs(weights.sum() - 1.0) > 1e-9:
        raise AdviceError(f"a prior must be {experts} weights above 0 that sum to 1: got {weights.tolist()}")
    return weights


def _bits(experts: int) -> NDArray[np.uint64]:
    """[K] powers of two: an awake mask times these is a number that names the mask."""
    return np.left_shift(np.uint64(1), np.arange(experts, dtype=np.uint64))


def _softmax(logs: Floats) -> Floats:
    """exp(logs) normalised over the last axis, at any magnitude."""
    weights = np.exp(logs - logs.max(axis=-1, keepdims=True))
    normalised: Floats = weights / weights.sum(axis=-1, keepdims=True)
    return normalised
