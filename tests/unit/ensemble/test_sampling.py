"""Few labels, and no bias: the probability of being asked, the weights that undo it, and what happens without them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from ensemble import (
    PERMISSIVE,
    AdviceError,
    Forecast,
    Forecaster,
    Moments,
    Policy,
    Rounds,
    ask_probabilities,
    cumulative,
    fold,
    merge,
    report,
    scaled,
    with_unasked,
    zero,
)
from ensemble.moments import SUMS
from support.rounds import NOON, PANEL, READINGS, advice, learned, random_rounds

SAMPLED = replace(PERMISSIVE, name="sampled", ask=0.05, ask_unsure=1.0)
seeds = st.integers(0, 2**32 - 1)
weights = st.floats(0.0, 1.0)


def asked_with(policy: Policy, scores: list[list[float]], experts: tuple[str, ...] = PANEL[:2]) -> list[float]:
    """The probabilities for these scores of experts that weigh the same; nan sleeps."""
    table = np.array(scores)
    awake = ~np.isnan(table)
    forecast = Forecaster.of(zero(experts), policy, experts).forecast(table, awake)
    return list(map(float, ask_probabilities(policy, table, awake, forecast)))


def test_a_turn_is_asked_for_the_more_the_more_its_experts_differ() -> None:
    told = asked_with(SAMPLED, [[0.3, 0.3], [0.2, 0.4], [0.0, 1.0], [0.3, np.nan], [np.nan, np.nan]])
    assert told == pytest.approx([0.05, 0.05 + 0.95 * 0.04, 1.0, 0.05, 1.0])


def test_only_the_weight_of_those_who_differ_counts() -> None:
    sure = np.array([[1.0, 0.0]])
    scores, awake, one = np.array([[0.3, 0.9]]), np.ones((1, 2), np.bool_), np.ones(1, np.bool_)
    alone = Forecast(np.full((1, 4), 0.3), sure, np.array([0.3]), one)
    assert ask_probabilities(SAMPLED, scores, awake, alone).tolist() == [0.05]


def test_without_sampling_every_turn_is_asked_for() -> None:
    assert asked_with(PERMISSIVE, [[0.3, 0.9], [np.nan, np.nan]]) == [1.0, 1.0]


def test_shapes_that_do_not_belong_together_are_refused() -> None:
    forecast = Forecaster.of(zero(PANEL[:2]), SAMPLED, PANEL[:2]).forecast([[0.1, 0.2]], np.ones((1, 2), np.bool_))
    with pytest.raises(AdviceError, match="not alike"):
        ask_probabilities(SAMPLED, [[0.1, 0.2, 0.3]], np.ones((1, 3), np.bool_), forecast)


@given(seeds, st.integers(1, 30), st.sampled_from(READINGS))
@settings(max_examples=40)
def test_the_probability_is_within_its_limits_and_the_same_alone_and_in_any_batch(
    seed: int, count: int, reading: Policy
) -> None:
    rng = np.random.default_rng(seed)
    low, high = np.sort(rng.uniform(0.01, 1.0, 2))
    policy = replace(reading, ask=float(low), ask_unsure=float(high))
    scores, awake = advice(rng, count, len(PANEL))
    forecaster = Forecaster.of(learned(random_rounds(seed, 20)), policy, PANEL)
    together = ask_probabilities(policy, scores, awake, forecaster.forecast(scores, awake))
    assert ((together >= low) & (together <= high)).all()
    for n in range(count):
        row, heard = scores[n : n + 1], awake[n : n + 1]
        assert ask_probabilities(policy, row, heard, forecaster.forecast(row, heard)).tolist() == [together[n]]


def assert_alike(a: Moments, b: Moments) -> None:
    for name in SUMS:
        np.testing.assert_allclose(getattr(a, name), getattr(b, name), rtol=1e-9, atol=1e-12, err_msg=name)


@given(seeds, weights)
@settings(max_examples=30)
def test_scaling_a_sum_is_the_sum_of_what_is_scaled(seed: int, weight: float) -> None:
    a, b = learned(random_rounds(seed, 12)), learned(random_rounds(seed + 1, 9))
    assert_alike(scaled(merge(a, b), weight), merge(scaled(a, weight), scaled(b, weight)))


@given(seeds, st.floats(1.0, 20.0))
@settings(max_examples=30)
def test_scaled_moments_are_those_of_rounds_that_weigh_as_much_more(seed: int, weight: float) -> None:
    rounds = random_rounds(seed, 15)
    heavier = Rounds(**{**vars(rounds), "q": rounds.q * weight})
    assert_alike(scaled(learned(rounds), weight), learned(heavier))


def test_a_weight_that_is_no_weight_is_refused() -> None:
    with pytest.raises(AdviceError, match="finite and not negative"):
        scaled(zero(PANEL), -1.0)


def test_many_light_labels_do_not_hide_from_the_bound_that_some_weigh_more_than_1() -> None:
    halved = replace(SAMPLED, unasked=0.5)
    asked = learned(replace(random_rounds(1, 3, sampled=False), q=np.full(3, 5.0)))
    together = with_unasked(asked, learned(random_rounds(2, 400, sampled=False)), halved.unasked)
    assert together.squares < together.counted
    # Without delay a bound that takes every q for 1 has no term for what the heavier ones cost.
    prompt = replace(together, used=(together.counted**2 - together.squares) / 2.0)
    assert report(prompt, halved).bound > report(prompt, replace(halved, unasked=0.0)).bound + prompt.squares / 16.0


def test_at_weight_0_labels_nobody_asked_for_are_not_even_counted_and_at_1_they_are_like_any_other() -> None:
    asked, unasked = learned(random_rounds(1, 10)), learned(random_rounds(2, 7))
    assert with_unasked(asked, unasked, 0.0) is asked
    assert with_unasked(asked, None, 1.0) is asked
    assert_alike(with_unasked(asked, unasked, 1.0), merge(asked, unasked))


# -- the simulation: one in five turns is hard, and there the first expert is right; the others are easy, and there the
# second one is a little better. Hard turns are asked for nearly always, easy ones one time in twenty.

TURNS, DRAWS = 400, 400


def conversation() -> tuple[NDArray[np.float64], NDArray[np.uint8]]:
    rng = np.random.default_rng(7)
    label = rng.integers(0, 2, TURNS) * 2
    truth, hard = label / 2.0, rng.random(TURNS) < 0.2
    towards, away = np.abs(truth - 0.1), np.abs(truth - 0.9)
    first = np.where(hard, towards, np.abs(truth - 0.3))
    second = np.where(hard, away, np.abs(truth - 0.2))
    return np.column_stack((first, second)), label.astype(np.uint8)


def difference(moments: Moments) -> float:
    """By how much the first expert's loss is above the second's."""
    first, second = cumulative(moments.own, SAMPLED).tolist()
    return float(first - second)


def drawn(weighted: bool) -> tuple[float, NDArray[np.float64]]:
    """The true difference of losses for each turn, and what each of many draws of the labels says it is."""
    scores, label = conversation()
    experts, awake = PANEL[:2], np.ones(scores.shape, np.bool_)
    forecaster = Forecaster.of(zero(experts), SAMPLED, experts)
    seen = forecaster.forecast(scores, awake)
    ask = ask_probabilities(SAMPLED, scores, awake, seen)

    def told(chosen: NDArray[np.bool_], q: NDArray[np.float64]) -> Moments:
        rounds = Rounds.of(
            scores, awake, seen.forecasts, seen.published, label, NOON + np.arange(len(label)), used=0.0, q=q
        )
        return fold(zero(experts), rounds.select(chosen))

    everything = told(np.ones(TURNS, np.bool_), np.ones(TURNS))
    estimates = []
    for seed in range(DRAWS):
        chosen = np.random.default_rng(seed).random(TURNS) < ask
        moments = told(chosen, 1.0 / ask if weighted else np.ones(TURNS))
        estimates.append(difference(moments) / (TURNS if weighted else moments.counted))
    return difference(everything) / TURNS, np.array(estimates)


def off_by(weighted: bool) -> float:
    """Of the mean estimate from the truth, in standard errors."""
    truth, estimates = drawn(weighted)
    return float(abs(estimates.mean() - truth) / (estimates.std(ddof=1) / np.sqrt(DRAWS)))


def test_weighted_by_1_over_q_the_difference_between_experts_is_estimated_without_bias() -> None:
    assert off_by(weighted=True) < 3.0


def test_without_the_weights_the_difference_is_another_so_that_the_test_above_can_fail() -> None:
    assert off_by(weighted=False) > 30.0
