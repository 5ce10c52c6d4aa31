"""What is read from the sums is the sum of the losses, as they are defined."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ensemble import DEFENSIVE, PERMISSIVE, Policy, cumulative, eta
from ensemble.losses import span
from support.rounds import PANEL, READINGS, learned, random_rounds
from support.textbook import loss_of

by_reading = pytest.mark.parametrize("policy", READINGS, ids=lambda policy: policy.name)


@by_reading
@given(st.integers(0, 2**32 - 1), st.integers(0, 40))
@settings(max_examples=20)
def test_the_cumulative_loss_is_the_weighted_sum_of_the_losses_of_the_rounds(
    policy: Policy, seed: int, count: int
) -> None:
    rounds = random_rounds(seed, count)
    expected = [
        math.fsum(
            rounds.q[n] * loss_of(policy, int(rounds.label[n]), float(rounds.scores[n, k]))
            for n in range(count)
            if rounds.awake[n, k]
        )
        for k in range(len(PANEL))
    ]
    np.testing.assert_allclose(cumulative(learned(rounds).own, policy), expected, rtol=1e-12, atol=1e-9)


@by_reading
def test_one_round_costs_between_nothing_and_the_span(policy: Policy) -> None:
    rounds = random_rounds(1, 400, 1, asleep=0.0, sampled=False)
    each = [float(cumulative(learned(rounds.select(slice(n, n + 1)), PANEL[:1]).own, policy)[0]) for n in range(400)]
    assert min(each) >= 0.0
    assert max(each) <= span(policy) * (1.0 + 1e-12)


@pytest.mark.parametrize("policy", [READINGS[2], READINGS[4]], ids=lambda policy: policy.name)
def test_the_loss_falls_towards_the_target_and_its_slope_is_the_finite_difference(policy: Policy) -> None:
    def loss(p: float, label: int) -> float:
        rounds = random_rounds(0, 1, 1, asleep=0.0, sampled=False)
        rounds.scores[0, 0], rounds.label[0] = p, label
        return float(cumulative(learned(rounds, PANEL[:1]).own, policy)[0])

    step = 1e-6
    for label, (y, w) in enumerate(zip(policy.targets, policy.costs, strict=True)):
        for p in (0.05, 0.3, 0.5, 0.9):
            slope = (loss(p + step, label) - loss(p - step, label)) / (2.0 * step)
            exact = 2.0 * w * (p - y) if policy.loss == "brier" else -w * (y / p - (1.0 - y) / (1.0 - p))
            assert slope == pytest.approx(exact, rel=1e-5, abs=1e-6)


def test_the_same_sums_are_read_by_a_permissive_and_a_defensive_tenant() -> None:
    rounds = random_rounds(0, 1, 1, asleep=0.0, sampled=False)
    rounds.scores[0, 0], rounds.label[0] = 0.8, 1
    sums = learned(rounds, PANEL[:1]).own
    assert cumulative(sums, PERMISSIVE)[0] == pytest.approx(0.64)
    assert cumulative(sums, DEFENSIVE)[0] == pytest.approx(0.04)


@pytest.mark.parametrize("policy", [READINGS[2], READINGS[4]], ids=lambda policy: policy.name)
@given(st.floats(1e-4, 1.0 - 1e-4), st.floats(1e-4, 1.0 - 1e-4), st.floats(0.0, 1.0), st.integers(0, 2))
def test_at_the_learning_rate_the_exponential_of_the_loss_is_concave(
    policy: Policy, p: float, other: float, share: float, label: int
) -> None:
    rate = float(eta(policy, 0, 2))

    def gain(score: float) -> float:
        return math.exp(-rate * loss_of(policy, label, score))

    mixed = gain(share * p + (1.0 - share) * other)
    assert mixed >= share * gain(p) + (1.0 - share) * gain(other) - 1e-12


def test_the_learning_rate_is_constant_for_curved_losses_and_falls_with_the_root_of_the_rounds_for_the_others() -> None:
    soft, absolute, log = READINGS[2], READINGS[3], READINGS[4]
    assert eta(soft, np.array([0, 1000]), 5).tolist() == [0.1, 0.1]
    assert eta(log, 7, 5) == 0.25
    assert eta(absolute, np.array([0, 99]), 5) * 3.0 == pytest.approx(np.sqrt(8 * np.log(5) / np.array([1, 100])))
    assert eta(absolute, 0, 1) > 0.0


def test_a_score_of_exactly_one_half_says_unsafe_to_the_zero_one_loss() -> None:
    rounds = random_rounds(0, 1, 2, asleep=0.0, sampled=False)
    rounds.scores[0] = [0.5, np.nextafter(0.5, 0.0)]
    rounds.label[0] = 2
    assert cumulative(learned(rounds, PANEL[:2]).own, READINGS[5]).tolist() == [0.0, 2.0]
