"""On the same stream the weights are those of river and of the papers, written down round by round."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from math import inf
from typing import Any, Final

import numpy as np
import pytest
from river import base, ensemble

from ensemble import HALF_LIVES, Forecaster, Moments, Policy, Rounds, fold, zero
from ensemble.policy import Rule
from support.rounds import NOON, PANEL, READINGS, advice
from support.textbook import Leader, Mean, MLpol, Sequential, Squint

BOOKS: Final[dict[Rule, type[Sequential]]] = {
    "exponential": Sequential,
    "mean": Mean,
    "leader": Leader,
    "squint": Squint,
    "mlpol": MLpol,
}
PRIOR: Final = (0.1, 0.2, 0.4, 0.2, 0.1)
CLOSE: Final = 1e-9
by_reading = pytest.mark.parametrize("policy", READINGS, ids=lambda policy: policy.name)


class Advisor(base.Regressor):  # type: ignore[misc]  # its types are not read
    """An expert of river's ensemble: what it advises is one of the features."""

    def __init__(self, index: int) -> None:
        self.index = index

    def predict_one(self, x: Sequence[float]) -> float:
        return x[self.index]

    def learn_one(self, x: Sequence[float], y: float) -> None:
        """It has nothing to learn."""


@pytest.mark.parametrize(
    "policy",
    [
        READINGS[0],
        READINGS[1],
        Policy("soft and dear", targets=(0.1, 0.4, 1.0), costs=(7.0, 7.0, 7.0)),
    ],
    ids=lambda policy: policy.name,
)
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_without_delay_the_weights_are_those_of_rivers_exponentially_weighted_average(
    policy: Policy, seed: int
) -> None:
    """river's loss has no costs: where all are w its rate 1/2 is our 1 / (2 w) times w. Its weights are linear and
    normalised in every round, so that these experts, which differ by less than 300 rounds, do not underflow there.
    """
    rng = np.random.default_rng(seed)
    scores = np.clip(rng.beta(0.5, 0.5, (300, 5)), 0.01, 0.99)
    peer: Any = ensemble.EWARegressor([Advisor(index) for index in range(5)], learning_rate=0.5)
    moments = zero(PANEL, (inf,))
    for n, row in enumerate(scores):
        forecaster = Forecaster.of(moments, policy, PANEL)
        said, label = forecaster.forecast(row[None], np.ones((1, 5), np.bool_)), int(rng.integers(0, 3))
        if n:  # before its first round river's weights are 1 each
            np.testing.assert_allclose(forecaster.weights(), peer.weights, rtol=0.0, atol=CLOSE)
            assert said.published[0] == pytest.approx(peer.predict_one(row.tolist()), abs=CLOSE)
        moments = fold(moments, one_round(row, [True] * 5, said.forecasts, said.published, label, NOON, n))
        peer.learn_one(row.tolist(), policy.targets[label])
    assert max(peer.weights) > 2.0 / 5.0  # there was something to agree about


@by_reading
@pytest.mark.parametrize(
    ("rule", "half_lives"),  # exponential weights under four: test_forecaster.py
    [*((rule, (inf,)) for rule in BOOKS), *((rule, HALF_LIVES) for rule in BOOKS if rule != "exponential")],
)
def test_without_delay_the_weights_are_those_of_the_paper_after_every_round(
    policy: Policy, rule: Rule, half_lives: tuple[float, ...]
) -> None:
    policy = replace(policy, forecaster=rule)
    rng = np.random.default_rng(7)
    scores, awake = advice(rng, 70, len(PANEL), asleep=0.3)
    times = NOON + np.sort(rng.random(70) * 5 * 86_400.0)
    book, moments = BOOKS[rule](policy, PRIOR, half_lives), zero(PANEL, half_lives)
    for n in np.flatnonzero(awake.any(axis=1)).tolist():
        assert_same_weights(moments, book, awake[n].tolist())
        said = Forecaster.of(moments, policy, PANEL, PRIOR).forecast(scores[n : n + 1], awake[n : n + 1])
        np.testing.assert_allclose(said.forecasts[0], book.forecasts(scores[n].tolist(), awake[n].tolist()), atol=CLOSE)
        label, at = int(rng.integers(0, 3)), float(times[n])
        moments = fold(moments, one_round(scores[n], awake[n], said.forecasts, said.published, label, at, n))
        book.update(scores[n].tolist(), awake[n].tolist(), said.forecasts[0].tolist(), label, at)


@by_reading
@pytest.mark.parametrize("rule", [rule for rule in BOOKS if rule != "exponential"])
def test_a_policy_that_comes_later_weighs_as_if_all_rounds_had_been_read_under_it(policy: Policy, rule: Rule) -> None:
    policy = replace(policy, forecaster=rule)
    rng = np.random.default_rng(8)
    scores, awake = advice(rng, 80, len(PANEL), asleep=0.3)
    awake[:, 2] |= ~awake.any(axis=1)
    scores = np.where(awake, np.nan_to_num(scores, nan=0.3), np.nan)
    forecasts, labels = rng.random((80, len(HALF_LIVES))), rng.integers(0, 3, 80)
    times = NOON + np.sort(rng.random(80) * 5 * 86_400.0)
    book, moments = BOOKS[rule](policy, PRIOR), zero(PANEL)
    for n in range(80):
        book.update(scores[n].tolist(), awake[n].tolist(), forecasts[n].tolist(), int(labels[n]), float(times[n]))
    moments = fold(moments, Rounds.of(scores, awake, forecasts, forecasts[:, 0], labels, times, used=0.0))
    for pattern in ([True] * 5, [True, False, True, False, True], [False, True, False, False, False]):
        assert_same_weights(moments, book, pattern)


def assert_same_weights(moments: Moments, book: Sequential, awake: list[bool]) -> None:
    """Of every expert in the score, for those awake, and of every half-life."""
    forecaster = Forecaster.of(moments, book.policy, PANEL, PRIOR)
    np.testing.assert_allclose(forecaster.half_life_weights(), book.shares(), rtol=0.0, atol=CLOSE)
    said = forecaster.forecast(np.full((1, len(awake)), 0.5), np.array([awake]))
    mixed = [
        sum(share * weight for share, weight in zip(book.shares(), of_expert, strict=True))
        for of_expert in zip(*(book.weights(h, awake) for h in range(len(book.half_lives))), strict=True)
    ]
    np.testing.assert_allclose(said.weights[0], mixed, rtol=0.0, atol=CLOSE)


def one_round(
    scores: np.ndarray[tuple[int], np.dtype[np.float64]],
    awake: object,
    forecasts: object,
    published: object,
    label: int,
    at: float,
    used: int,
) -> Rounds:
    """A round whose forecast had read all `used` labels before it."""
    return Rounds.of([scores], [awake], forecasts, published, [label], at, used=used)  # type: ignore[arg-type]
