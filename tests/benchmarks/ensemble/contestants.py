"""Who learns from labels and forecasts turns: the ensemble in batches, river's EWARegressor, and the rules of opera
(EWA, MLpol) in numpy, a round at a time over arrays of experts, transcribed from the papers.

Each is given the same advice[N, K] and targets[N] of 0 or 1, under the Brier loss.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import inf
from typing import Final, Protocol

import numpy as np
import numpy.typing as npt
from river.base import Regressor
from river.ensemble import EWARegressor

from ensemble import HALF_LIVES, PERMISSIVE, Forecaster, Rounds, fold, zero
from experts.figures import Floats

ETA: Final = 0.5
"""Of all of them: 1 / (2 w_max), and river's own default."""
SPACING: Final = 5.0
"""Seconds of event time between turns."""
FOREVER: Final = (inf,)
"""The half-life of all but ours."""


@dataclass(frozen=True, eq=False, slots=True)
class Stream:
    """N labelled turns, with what a worker has stored of each."""

    advice: Floats
    """[N, K]"""
    target: Floats
    """[N] 0 or 1"""
    awake: npt.NDArray[np.bool_]
    """[N, K] everybody"""
    label: npt.NDArray[np.uint8]
    """[N] the class index"""
    at: Floats
    """[N] seconds"""
    stored: Floats
    """[N] the plain mean, which stands for the score that was published and the forecast of every half-life: the sums
    cost the same whatever it is.
    """

    @classmethod
    def of(cls, advice: Floats, target: Floats) -> Stream:
        """The stream of these turns."""
        label, at = (target * 2.0).astype(np.uint8), np.arange(len(target), dtype=np.float64) * SPACING
        stored: Floats = advice.mean(axis=1)
        return cls(advice, target, np.ones(advice.shape, np.bool_), label, at, stored)

    @classmethod
    def random(cls, turns: int, experts: int, seed: int = 0) -> Stream:
        """Experts that are right the more often the later they stand."""
        chance = np.random.default_rng(seed)
        target = (chance.random(turns) < 0.5).astype(np.float64)
        skill = np.linspace(0.2, 0.6, experts)
        return cls.of(skill * target[:, None] + (1.0 - skill) * chance.random((turns, experts)), target)

    def first(self, turns: int) -> Stream:
        """So many of its turns."""
        return Stream.of(self.advice[:turns], self.target[:turns])


class Contestant(Protocol):
    """A rule, with nothing learned when it is made. Both methods are timed."""

    def learn(self, stream: Stream) -> None:
        """Every label of the stream, in order, each forecast from the labels before it or before its batch."""

    def forecast(self, stream: Stream) -> None:
        """Every turn of the stream, with the weights learned."""


class Ours:
    """The ensemble: labels in batches of `together`, turns in batches of `batch`. Forecasts that were stored with the
    turns are given, as a worker has them; making rounds of them is timed.
    """

    def __init__(self, experts: int, together: int, batch: int, half_lives: Sequence[float] = HALF_LIVES) -> None:
        self._together, self._batch = together, batch
        self._moments = zero([f"expert{number}@1" for number in range(experts)], half_lives)
        self._read()

    def _read(self) -> None:
        self.forecaster = Forecaster.of(self._moments, PERMISSIVE, self._moments.experts)

    def learn(self, stream: Stream) -> None:
        forecasts = np.broadcast_to(stream.stored[:, None], (len(stream.stored), len(self._moments.half_lives)))
        for start in range(0, len(stream.stored), self._together):
            part = slice(start, start + self._together)
            rounds = Rounds.of(
                stream.advice[part],
                stream.awake[part],
                forecasts[part],
                stream.stored[part],
                stream.label[part],
                stream.at[part],
                used=self.forecaster.used,
            )
            self._moments = fold(self._moments, rounds)
            self._read()

    def forecast(self, stream: Stream) -> None:
        for start in range(0, len(stream.awake), self._batch):
            part = slice(start, start + self._batch)
            self.forecaster.forecast(stream.advice[part], stream.awake[part])


class Given(Regressor):  # type: ignore[misc]  # river has no types
    """A model of river's that answers what it is given, so that only the aggregation is timed."""

    def __init__(self, column: int) -> None:
        self.column = column

    def predict_one(self, x: list[float]) -> float:
        return x[self.column]

    def learn_one(self, x: list[float], y: float) -> None:
        """Nothing."""


class River:
    """river.ensemble.EWARegressor under its squared loss, a turn at a time, which is all that it offers."""

    def __init__(self, experts: int) -> None:
        self.model = EWARegressor([Given(column) for column in range(experts)], learning_rate=ETA)

    def learn(self, stream: Stream) -> None:
        for advice, target in zip(stream.advice.tolist(), stream.target.tolist(), strict=True):
            self.model.learn_one(advice, target)

    def forecast(self, stream: Stream) -> None:
        for advice in stream.advice.tolist():
            self.model.predict_one(advice)


class Ewa:
    """w proportional to exp(-eta L), L the cumulative losses (Cesa-Bianchi & Lugosi 2006, section 2.2)."""

    def __init__(self, experts: int) -> None:
        self.weights = np.full(experts, 1.0 / experts)
        self._lost = np.zeros(experts)

    def learn(self, stream: Stream) -> None:
        for advice, target in zip(stream.advice, stream.target, strict=True):
            self._lost += (advice - target) ** 2
            raw = np.exp(-ETA * (self._lost - self._lost.min()))
            self.weights = raw / raw.sum()

    def forecast(self, stream: Stream) -> None:
        for advice in stream.advice:
            self.weights @ advice


class MlPol:
    """w[i] proportional to eta[i] max(R[i], 0), with eta[i] = 1 / (1 + sum of r[i]^2), r[i] the regret to expert i in a
    round and R[i] their sum; uniform while no R is above 0 (Gaillard, Stoltz & van Erven 2014, ML-Poly).
    """

    def __init__(self, experts: int) -> None:
        self.weights = np.full(experts, 1.0 / experts)
        self._regret, self._squares = np.zeros(experts), np.zeros(experts)

    def learn(self, stream: Stream) -> None:
        for advice, target in zip(stream.advice, stream.target, strict=True):
            instant = (self.weights @ advice - target) ** 2 - (advice - target) ** 2
            self._regret += instant
            self._squares += instant**2
            raw = np.maximum(self._regret, 0.0) / (1.0 + self._squares)
            total = raw.sum()
            self.weights = raw / total if total > 0.0 else np.full(len(raw), 1.0 / len(raw))

    def forecast(self, stream: Stream) -> None:
        for advice in stream.advice:
            self.weights @ advice
