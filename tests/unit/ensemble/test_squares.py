"""What is read from the products is the sum of the squared regrets, round by round, under every loss and policy."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ensemble import HALF_LIVES, Policy
from ensemble.squares import squared_regret
from support.rounds import PANEL, READINGS, learned, random_rounds
from support.textbook import loss_of


@pytest.mark.parametrize("policy", READINGS, ids=lambda policy: policy.name)
@given(seed=st.integers(0, 2**32 - 1), count=st.integers(0, 30))
@settings(max_examples=15)
def test_the_squared_regret_is_the_sum_over_rounds_of_q_times_the_difference_of_losses_squared(
    policy: Policy, seed: int, count: int
) -> None:
    rounds = random_rounds(seed, count)

    def squared(n: int, h: int, k: int, now: float) -> float:
        label, age = int(rounds.label[n]), now - float(rounds.scored_at[n])
        ours, theirs = (loss_of(policy, label, float(p)) for p in (rounds.forecasts[n, h], rounds.scores[n, k]))
        return float(0.5 ** (age / HALF_LIVES[h]) * (rounds.q[n] * (ours - theirs)) ** 2)

    moments = learned(rounds)
    expected = [
        [math.fsum(squared(n, h, k, moments.at) for n in range(count) if rounds.awake[n, k]) for k in range(len(PANEL))]
        for h in range(len(HALF_LIVES))
    ]
    np.testing.assert_allclose(squared_regret(moments.squared, policy), expected, rtol=1e-9, atol=1e-7)
