"""Weights read from sums are those of the algorithm in the book, under any policy, at any time."""

from __future__ import annotations

import doctest
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import ensemble
from ensemble import AdviceError, Forecaster, Policy, Rounds, align, blend, fold, merge, zero
from support.rounds import NOON, PANEL, READINGS, advice, learned, random_rounds
from support.textbook import Sequential

by_reading = pytest.mark.parametrize("policy", READINGS, ids=lambda policy: policy.name)
seeds = st.integers(0, 2**32 - 1)
PRIOR = np.array([0.1, 0.2, 0.4, 0.2, 0.1])


def assert_agrees(forecaster: Forecaster, book: Sequential, awake: list[bool]) -> None:
    half_lives = range(len(book.half_lives))
    np.testing.assert_allclose(forecaster.half_life_weights(), book.shares(), atol=1e-9)
    said = forecaster.forecast(np.full((1, len(awake)), 0.5), np.array([awake]))
    mixed = [sum(book.shares()[h] * book.weights(h, awake)[i] for h in half_lives) for i in range(len(awake))]
    np.testing.assert_allclose(said.weights[0], mixed, atol=1e-9)


@by_reading
@pytest.mark.parametrize("asleep", [0.0, 0.4])
def test_without_delay_the_forecasts_are_those_of_the_sequential_algorithm(policy: Policy, asleep: float) -> None:
    rng = np.random.default_rng(7)
    book, moments = Sequential(policy, PRIOR.tolist()), zero(PANEL)
    scores, awake = advice(rng, 120, len(PANEL), asleep)
    awake[:, 2] |= ~awake.any(axis=1)
    scores = np.where(awake, np.nan_to_num(scores, nan=0.3), np.nan)
    times = NOON + np.sort(rng.random(120) * 5 * 86_400.0)
    for n in range(120):
        forecaster = Forecaster.of(moments, policy, PANEL, PRIOR)
        assert_agrees(forecaster, book, awake[n].tolist())
        said = forecaster.forecast(scores[n : n + 1], awake[n : n + 1])
        expected = book.forecasts(scores[n].tolist(), awake[n].tolist())
        np.testing.assert_allclose(said.forecasts[0], expected, atol=1e-9)
        label = int(rng.integers(0, 3))
        moments = fold(
            moments,
            Rounds.of(scores[n : n + 1], awake[n : n + 1], said.forecasts, said.published, [label], times[n], used=n),
        )
        book.update(scores[n].tolist(), awake[n].tolist(), said.forecasts[0].tolist(), label, float(times[n]))


@by_reading
@given(seeds, st.integers(1, 60))
@settings(max_examples=10)
def test_another_policy_reads_the_same_sums_as_a_replay_of_the_rounds_under_it(
    policy: Policy, seed: int, count: int
) -> None:
    rounds = random_rounds(seed, count, asleep=0.0, sampled=False)
    book = Sequential(policy, [0.2] * len(PANEL))
    for n in np.argsort(rounds.scored_at):
        book.update(
            rounds.scores[n].tolist(),
            [True] * 5,
            rounds.forecasts[n].tolist(),
            int(rounds.label[n]),
            rounds.scored_at[n],
        )
    assert_agrees(Forecaster.of(learned(rounds), policy, PANEL), book, [True] * 5)


@by_reading
def test_the_sum_of_two_partitions_forecasts_like_one(policy: Policy) -> None:
    rounds = random_rounds(3, 80)
    halves = merge(learned(rounds.select(slice(0, 30))), learned(rounds.select(slice(30, 80))))
    one, two = (Forecaster.of(moments, policy, PANEL).weights() for moments in (learned(rounds), halves))
    np.testing.assert_allclose(one, two, rtol=1e-9)


def test_weights_under_a_sleeper_are_renormalised_over_the_awake() -> None:
    forecaster = Forecaster.of(learned(random_rounds(4, 50)), READINGS[0], PANEL, PRIOR)
    awake = np.array([[True, False, True, False, True]])
    per_half_life = np.exp(forecaster.log_w) * awake
    per_half_life /= per_half_life.sum(axis=1, keepdims=True)
    expected = forecaster.half_life_weights() @ per_half_life
    np.testing.assert_allclose(forecaster.forecast([[0.1, np.nan, 0.2, np.nan, 0.3]], awake).weights[0], expected)


def test_a_newcomer_leaves_the_others_in_proportion_and_starts_with_no_regret() -> None:
    moments = learned(random_rounds(6, 50))
    before = Forecaster.of(moments, READINGS[0], PANEL)
    after = Forecaster.of(moments, READINGS[0], (*PANEL, "newcomer@1"))
    np.testing.assert_allclose(after.log_w[:, 5], np.log(1 / 6))
    np.testing.assert_allclose(np.diff(after.log_w[:, :5]), np.diff(before.log_w), atol=1e-12)


def test_a_short_memory_forgets_what_a_long_one_keeps() -> None:
    good_then_bad = random_rounds(8, 40, 2, asleep=0.0, sampled=False)
    good_then_bad.scores[:] = np.where(np.arange(40)[:, None] < 30, [0.0, 1.0], [1.0, 0.0])
    good_then_bad.label[:] = 0
    hourly = replace(good_then_bad, scored_at=NOON + 3600.0 * np.arange(40.0))
    forecaster = Forecaster.of(learned(hourly, PANEL[:2]), READINGS[0], PANEL[:2])
    leads = forecaster.log_w[:, 0] - forecaster.log_w[:, 1]
    assert leads[0] == pytest.approx(0.5 * (30 - 10))
    assert leads[3] == pytest.approx(-0.5 * sum(2.0**-n for n in range(10)), rel=1e-2)


def test_importance_weights_count_a_round_as_often_as_it_stands_for_turns() -> None:
    rounds = random_rounds(9, 20, asleep=0.0, sampled=False)
    thrice = replace(rounds, q=np.full(20, 3.0))
    repeated = rounds.select(np.tile(np.arange(20), 3))
    once, again = (Forecaster.of(learned(r), READINGS[0], PANEL) for r in (thrice, repeated))
    np.testing.assert_allclose(once.weights(), again.weights(), rtol=1e-9)
    assert (once.rounds, once.used) == (20, 60.0)


def test_a_prior_from_parents_is_theirs_mixed_with_a_tenth_of_uniform() -> None:
    prior = blend([0.0, 1.0, 0.0, 0.0])
    np.testing.assert_allclose(prior, [0.025, 0.925, 0.025, 0.025])
    np.testing.assert_allclose(Forecaster.of(zero(PANEL[:4]), READINGS[0], PANEL[:4], prior).weights(), prior)


@pytest.mark.parametrize("prior", [[0.5, 0.5], [0.6] * 5, [1.0, 0.0, 0.0, 0.0, 0.0], [np.nan] * 5])
def test_a_prior_that_is_no_distribution_is_refused(prior: list[float]) -> None:
    with pytest.raises(AdviceError, match="5 weights above 0 that sum to 1"):
        Forecaster.of(zero(PANEL), READINGS[0], PANEL, prior)


@pytest.mark.parametrize("bad", [np.nan, -0.1, 1.1, np.inf])
@pytest.mark.parametrize("asleep", [False, True])
def test_a_score_that_is_no_probability_is_refused_wherever_its_expert_is_awake(bad: float, asleep: bool) -> None:
    forecaster = Forecaster.of(zero(PANEL), READINGS[0], PANEL)
    scores, awake = np.full((3, 5), 0.5), np.ones((3, 5), np.bool_)
    awake[0, 0] = not asleep
    scores[1, 3] = bad
    with pytest.raises(AdviceError, match="let that expert sleep"):
        forecaster.forecast(scores, awake)
    awake[1, 3] = False
    assert forecaster.forecast(scores, awake).decided.all()


def test_panels_that_cannot_be_are_refused() -> None:
    with pytest.raises(AdviceError, match="1 to 64 experts: 0 were named"):
        Forecaster.of(zero(PANEL), READINGS[0], ())
    with pytest.raises(AdviceError, match="name one twice"):
        Forecaster.of(zero(PANEL), READINGS[0], ("a@1", "a@1"))
    with pytest.raises(AdviceError, match=r"must both be \[N, 5\]"):
        Forecaster.of(zero(PANEL), READINGS[0], PANEL).forecast(np.zeros((2, 3)), np.ones((2, 3), np.bool_))


def test_the_largest_panel_has_weights_for_every_pattern_of_sleep() -> None:
    panel = tuple(f"expert-{index}@1" for index in range(64))
    scores, awake = advice(np.random.default_rng(1), 50, 64, asleep=0.5)
    said = Forecaster.of(align(zero(()), panel), READINGS[0], panel).forecast(scores, awake)
    np.testing.assert_allclose(said.weights, awake / awake.sum(axis=1, keepdims=True))


def test_float32_scores_are_mixed_as_the_same_numbers_in_float64() -> None:
    scores = np.random.default_rng(2).random((9, 5)).astype(np.float32)
    forecaster, awake = Forecaster.of(learned(random_rounds(1, 9)), READINGS[0], PANEL), np.ones((9, 5), np.bool_)
    narrow, wide = forecaster.forecast(scores, awake), forecaster.forecast(scores.astype(np.float64), awake)
    assert narrow.published.tobytes() == wide.published.tobytes()


def test_the_day_told_in_the_packages_docstring_is_true() -> None:
    told = doctest.testmod(ensemble, raise_on_error=False)
    assert told.attempted > 8
    assert told.failed == 0
