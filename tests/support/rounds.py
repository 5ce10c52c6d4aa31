"""Made-up advice, labels and policies for the tests of the ensemble."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from ensemble import DEFENSIVE, HALF_LIVES, PERMISSIVE, Moments, Policy, Rounds, fold, zero

PANEL: Final = ("bayes@1", "guard@2", "lexical@1", "semantic@3", "toxic@1")
NOON: Final = 1_700_000_000.0  # unix seconds
RTOL: Final = 1e-12

READINGS: Final = (
    PERMISSIVE,
    DEFENSIVE,
    Policy("soft", targets=(0.0, 0.4, 1.0), costs=(1.0, 2.0, 5.0)),
    Policy("absolute", targets=(0.0, 1.0, 1.0), costs=(1.0, 0.5, 3.0), loss="absolute"),
    Policy("log", targets=(0.0, 0.3, 1.0), costs=(2.0, 1.0, 4.0), loss="log"),
    Policy("zero_one", targets=(0.0, 0.0, 1.0), costs=(1.0, 1.0, 2.0), loss="zero_one"),
)
"""Every loss, with hard and soft targets and unequal costs."""


def advice(
    rng: np.random.Generator, count: int, experts: int, asleep: float = 0.3
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Scores[N, K], nan where asleep and now and then exactly 0 or 1, and who was awake."""
    scores = rng.beta(0.5, 0.5, (count, experts))
    scores[rng.random(scores.shape) < 0.05] = 0.0
    scores[rng.random(scores.shape) < 0.05] = 1.0
    awake: NDArray[np.bool_] = np.greater_equal(rng.random(scores.shape), asleep)
    return np.where(awake, scores, np.nan), awake


def random_rounds(
    seed: int,
    count: int,
    experts: int = len(PANEL),
    *,
    asleep: float = 0.3,
    sampled: bool = True,
    span_s: float = 10 * 86_400.0,
) -> Rounds:
    """Labelled rounds over ten days with sleepers and any forecasts; importance weights up to 8 when `sampled`."""
    rng = np.random.default_rng(seed)
    scores, awake = advice(rng, count, experts, asleep)
    heard: NDArray[np.bool_] = np.any(awake, axis=1)
    return Rounds.of(
        scores,
        awake,
        np.where(heard[:, None], rng.random((count, len(HALF_LIVES))), np.nan),
        np.where(heard, rng.random(count), np.nan),
        rng.integers(0, 3, count),
        NOON + rng.random(count) * span_s,
        used=rng.integers(0, count + 1, count),
        q=1.0 + 7.0 * rng.random(count) if sampled else 1.0,
    )


def whole_rounds(seed: int, count: int, experts: int = len(PANEL)) -> Rounds:
    """Rounds at one instant with scores of 0 or 1 and q = 1: every sum but those of logarithms is an integer."""
    rng = np.random.default_rng(seed)
    bits = rng.integers(0, 2, (count, experts + len(HALF_LIVES) + 1)).astype(float)
    return Rounds.of(
        bits[:, :experts],
        rng.random((count, experts)) < 0.8,
        bits[:, experts:-1],
        bits[:, -1],
        rng.integers(0, 3, count),
        NOON,
        used=rng.integers(0, 100, count),
    )


def learned(rounds: Rounds, experts: tuple[str, ...] = PANEL) -> Moments:
    """The moments of the rounds, from nothing."""
    return fold(zero(experts), rounds)
