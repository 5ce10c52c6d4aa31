"""What answers a stream: the ensemble as a worker runs it, river, and mixtures fixed in hindsight."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain, combinations
from typing import Final

import numpy as np

from benchmarks.ensemble.contestants import ETA, River
from benchmarks.streams.courses import Course
from ensemble import HALF_LIVES, Forecaster, Policy, Rounds, fold, zero
from experts.figures import Floats, Labels

TINY: Final = 1e-12
"""Below this a negative weight of a mixture is rounding."""


@dataclass(frozen=True, slots=True)
class Setting:
    """How the ensemble is run. Turns come `spacing` seconds of event time apart. A label that comes does so before the
    next turn, and counts 1 / rate if `weighted`, else 1.
    """

    spacing: float
    half_lives: tuple[float, ...] = HALF_LIVES
    by_role: bool = False
    weighted: bool = True


@dataclass(frozen=True, eq=False, slots=True)
class Told:
    """What the ensemble said."""

    scores: Floats
    """[N] published."""
    weights: Floats
    """[N, K] in the published score."""
    forecasts: Floats
    """[N, H] of each half-life."""


def labelled(turns: int, rate: float, seed: int) -> Labels:
    """[N] the turns whose labels come."""
    return np.asarray(np.random.default_rng([seed, 1]).random(turns) < rate)


def ensemble(course: Course, comes: Labels, rate: float, setting: Setting) -> Told:
    """The ensemble over a stream: every turn is forecast from the labels of the turns before it."""
    count, names = len(course.label), course.experts.tolist()
    contexts = course.role if setting.by_role else np.full(count, "all")
    moments = {name: zero(names, setting.half_lives) for name in np.unique(contexts).tolist()}
    readers: dict[tuple[str, Policy], Forecaster] = {}
    told = Told(np.empty(count), np.empty(course.scores.shape), np.empty((count, len(setting.half_lives))))
    awake, q = course.awake, 1.0 / rate if setting.weighted else 1.0
    for phase in course.phases:
        for number in range(phase.start, phase.stop):
            here, context = slice(number, number + 1), str(contexts[number])
            key = (context, phase.policy)
            reader = readers.get(key) or Forecaster.of(moments[context], phase.policy, names)
            readers[key] = reader
            said = reader.forecast(course.scores[here], awake[here])
            told.scores[number], told.weights[number] = said.published[0], said.weights[0]
            told.forecasts[number] = said.forecasts[0]
            if comes[number]:
                rounds = Rounds.of(
                    course.scores[here], awake[here], said.forecasts, said.published, course.label[here],
                    number * setting.spacing, used=reader.used, q=q,
                )  # fmt: skip
                moments[context] = fold(moments[context], rounds)
                readers.pop(key)
    return told


def forgetful(course: Course, comes: Labels, rate: float, told: Told, spacing: float, half_life: float) -> Floats:
    """[N] what the ensemble would publish if it weighed its half-lives by losses that decay, too: forecasts of a
    half-life do not depend on how the half-lives are weighed. A loss is read under the policy of its own phase.
    """
    lost, said, target = np.zeros(told.forecasts.shape[1]), np.empty(len(comes)), course.target
    decay = 2.0 ** (-spacing / half_life)
    for number, forecasts in enumerate(told.forecasts):
        raw = np.exp(-ETA * (lost - lost.min()))
        said[number] = raw @ forecasts / raw.sum()
        lost = decay * (lost + (comes[number] / rate) * np.square(forecasts - target[number]))
    return said


def river(course: Course, comes: Labels, rate: float) -> Floats:
    """[N] of river's EWARegressor, fed the same: an expert asleep says the mean of the others, a label counts 1 / rate
    times (to the nearest whole), and what it says is cut to [0, 1], since its first weights sum to K.
    """
    rule, times = River(len(course.experts)), round(1.0 / rate)
    said = np.empty(len(course.label))
    for number, (advice, target) in enumerate(zip(course.filled.tolist(), course.target.tolist(), strict=True)):
        said[number] = rule.model.predict_one(advice)
        for _ in range(times if comes[number] else 0):
            rule.model.learn_one(advice, target)
    return np.clip(said, 0.0, 1.0)


def best_mixture(advice: Floats, target: Floats) -> Floats:
    """w[K] on the simplex with the least mean of (advice[N, K] @ w - target[N])^2.

    It is the best of the minima over the face of each set of experts, which are linear systems (Lagrange); 2^K of them,
    exact, for the few experts of a panel.
    """
    count, experts = advice.shape
    gram, cross = advice.T @ advice / count, advice.T @ target / count
    sets = chain.from_iterable(combinations(range(experts), size) for size in range(1, experts + 1))
    found = [weights for several in sets if (weights := _on_face(gram, cross, several)) is not None]
    return min(found, key=lambda w: float(w @ gram @ w - 2.0 * w @ cross))


def _on_face(gram: Floats, cross: Floats, several: Sequence[int]) -> Floats | None:
    """The minimum with these weights alone, which sum to 1; None if one of them would be negative."""
    chosen, size = np.array(several), len(several)
    system = np.ones((size + 1, size + 1))
    system[:size, :size], system[size, size] = gram[np.ix_(chosen, chosen)], 0.0
    solved = np.linalg.lstsq(system, np.append(cross[chosen], 1.0))[0][:size]
    if (solved < -TINY).any():
        return None
    weights = np.zeros(len(cross))
    weights[chosen] = np.maximum(solved, 0.0)
    shares: Floats = weights / weights.sum()
    return shares
