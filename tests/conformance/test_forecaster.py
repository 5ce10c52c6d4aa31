"""One list of checks that every forecaster passes: each rule under every loss and policy."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from typing import Final

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ensemble import Forecaster, Moments, Policy, decode, encode, fold, merge, zero
from ensemble.policy import Rule
from support.rounds import PANEL, READINGS, advice, learned, random_rounds

RULES: Final[tuple[Rule, ...]] = ("exponential", "mean", "leader", "squint", "mlpol")
POLICIES: Final = [replace(policy, forecaster=rule) for rule in RULES for policy in READINGS]
pytestmark = pytest.mark.parametrize("policy", POLICIES, ids=lambda policy: f"{policy.forecaster}-{policy.name}")
seeds = st.integers(0, 2**32 - 1)
few = settings(max_examples=6)


def busy(seed: int, count: int = 60) -> Moments:
    """Moments that favour some experts clearly."""
    return learned(random_rounds(seed, count))


@cache
def long_ago() -> Moments:
    """1e5 rounds with sleepers and importance weights."""
    return learned(random_rounds(12, 100_000))


def weights(moments: Moments, policy: Policy) -> list[float]:
    """Of the whole panel and of the half-lives."""
    forecaster = Forecaster.of(moments, policy, PANEL)
    return [*forecaster.weights().tolist(), *forecaster.half_life_weights().tolist()]


@given(seeds)
@few
def test_weights_are_a_distribution_over_the_experts_awake(policy: Policy, seed: int) -> None:
    scores, awake = advice(np.random.default_rng(seed), 40, len(PANEL), asleep=0.6)
    said = Forecaster.of(busy(seed), policy, PANEL).forecast(scores, awake)
    assert np.array_equal(said.decided, awake.any(axis=1))
    assert (said.weights[~awake] == 0.0).all()
    assert (said.weights >= 0.0).all()
    np.testing.assert_allclose(said.weights.sum(axis=1), said.decided.astype(float), atol=1e-12)


@given(seeds)
@few
def test_a_score_lies_among_the_advice_and_is_the_weighted_mean_of_it(policy: Policy, seed: int) -> None:
    scores, awake = advice(np.random.default_rng(seed), 40, len(PANEL))
    said = Forecaster.of(busy(seed), policy, PANEL).forecast(scores, awake)
    heard = said.decided
    low = np.where(awake, scores, 2.0).min(axis=1)[heard]
    high = np.where(awake, scores, -1.0).max(axis=1)[heard]
    clipping = 1.0001e-4 if policy.loss == "log" else 1e-12
    assert (said.published[heard] >= low - clipping).all()
    assert (said.published[heard] <= high + clipping).all()
    assert ((said.forecasts[heard] >= 0.0) & (said.forecasts[heard] <= 1.0)).all()
    mean = (said.weights * np.where(awake, scores, 0.0)).sum(axis=1)
    np.testing.assert_allclose(said.published[heard], mean[heard], atol=clipping)


@given(seeds, st.integers(1, 50), st.sampled_from([0.0, 0.1, 0.7]))
@few
def test_a_turn_is_forecast_to_the_same_bit_alone_and_in_any_batch(
    policy: Policy, seed: int, size: int, asleep: float
) -> None:
    scores, awake = advice(np.random.default_rng(seed), 97, len(PANEL), asleep)
    forecaster = Forecaster.of(busy(seed), policy, PANEL)
    whole = forecaster.forecast(scores, awake)
    for start in range(0, 97, size):
        part = slice(start, start + size)
        some = forecaster.forecast(scores[part], awake[part])
        for name in ("forecasts", "weights", "published", "decided"):
            left, right = np.ascontiguousarray(getattr(some, name)), np.ascontiguousarray(getattr(whole, name)[part])
            assert left.tobytes() == right.tobytes()


@given(seeds, seeds, st.integers(1, 40))
@few
def test_the_order_and_the_partition_of_the_labels_do_not_matter(
    policy: Policy, seed: int, order: int, count: int
) -> None:
    rounds = random_rounds(seed, count)
    shuffled = np.random.default_rng(order).permutation(count)
    parts = [learned(rounds.select(part)) for part in np.array_split(shuffled, 3)]
    summed = merge(parts[2], merge(parts[0], parts[1]))
    assert weights(summed, policy) == pytest.approx(weights(learned(rounds), policy), rel=1e-9, abs=1e-12)


@given(seeds, st.integers(1, 40))
@few
def test_a_corrected_label_weighs_as_if_it_had_never_been_wrong(policy: Policy, seed: int, count: int) -> None:
    rounds = random_rounds(seed, count)
    wrong = replace(rounds, label=(2 - rounds.label).astype(np.uint8))
    corrected = fold(fold(learned(wrong), replace(wrong, sign=np.full(count, -1, np.int8))), rounds)
    assert weights(corrected, policy) == pytest.approx(weights(learned(rounds), policy), rel=1e-8, abs=1e-12)


def test_a_stored_record_weighs_to_the_bit_as_the_one_that_was_stored(policy: Policy) -> None:
    moments = busy(11)
    assert weights(decode(encode(moments)), policy) == weights(moments, policy)


def test_a_hundred_thousand_rounds_of_losses_up_to_a_million_leave_finite_weights(policy: Policy) -> None:
    dear = replace(policy, costs=(1e6, 1.0, 1e6))
    scores, awake = advice(np.random.default_rng(3), 50, len(PANEL))
    said = Forecaster.of(long_ago(), dear, PANEL).forecast(scores, awake)
    assert np.isfinite(said.weights).all()
    np.testing.assert_allclose(said.weights.sum(axis=1), said.decided.astype(float), atol=1e-12)
    assert np.isfinite(said.published[said.decided]).all()


@given(seeds)
@few
def test_experts_that_did_the_same_weigh_the_same(policy: Policy, seed: int) -> None:
    rounds = random_rounds(seed, 50)
    twin = replace(rounds, scores=rounds.scores[:, [0, 0, 2, 3, 4]], awake=rounds.awake[:, [0, 0, 2, 3, 4]])
    weights = Forecaster.of(learned(twin), policy, PANEL).weights()
    assert weights[0] == pytest.approx(weights[1], rel=1e-9)


@given(seeds, st.permutations(range(len(PANEL))))
@few
def test_the_order_of_the_panel_does_not_matter(policy: Policy, seed: int, order: list[int]) -> None:
    moments = busy(seed)
    renamed = tuple(PANEL[index] for index in order)
    scores, awake = advice(np.random.default_rng(seed), 20, len(PANEL))
    here = Forecaster.of(moments, policy, PANEL).forecast(scores, awake)
    there = Forecaster.of(moments, policy, renamed).forecast(scores[:, order], awake[:, order])
    np.testing.assert_allclose(there.weights, here.weights[:, order], atol=1e-12)
    np.testing.assert_allclose(there.published, here.published, atol=1e-12)


def test_before_any_label_all_experts_and_half_lives_weigh_the_same(policy: Policy) -> None:
    forecaster = Forecaster.of(zero(PANEL), policy, PANEL)
    np.testing.assert_allclose(forecaster.weights(), 0.2)
    np.testing.assert_allclose(forecaster.half_life_weights(), 0.25)
    assert (forecaster.rounds, forecaster.used) == (0, 0.0)


def test_losses_of_any_size_leave_finite_weights_that_can_rise_again(policy: Policy) -> None:
    rounds = random_rounds(9, 2, asleep=0.0, sampled=False, span_s=0.0)
    rounds.scores[:] = [0.0, 1.0, 1.0, 1.0, 1.0]
    rounds.forecasts[:], rounds.published[:], rounds.label[:] = 0.5, 0.5, [0, 2]
    # Squint's rates suppose that no q is above 1 / ask, so its losses come as many rounds.
    count, q = (1000, 1.0) if policy.forecaster == "squint" else (1, 1e9)
    first_round, then_round = (rounds.select(np.full(count * times, n)) for n, times in ((0, 1), (1, 30)))
    crushed = fold(zero(PANEL), replace(first_round, q=np.full(count, q)))
    risen = fold(crushed, replace(then_round, q=np.full(30 * count, q)))
    first, then = (Forecaster.of(moments, policy, PANEL).weights() for moments in (crushed, risen))
    assert np.isfinite(first).all()
    assert np.isfinite(then).all()
    if policy.forecaster == "mean":
        assert first.tolist() == then.tolist() == pytest.approx([0.2] * 5)
    else:
        assert first[0] > 0.99
        nobody_is_ahead = policy.forecaster == "mlpol" and policy.loss == "zero_one"  # no other left the forecast
        assert then.tolist() == [0.2] * 5 if nobody_is_ahead else then[0] < 0.01


def test_an_expert_that_errs_less_weighs_more(policy: Policy) -> None:
    rounds = random_rounds(10, 60, asleep=0.0, sampled=False, span_s=0.0)
    right, share_wrong = np.array(policy.targets)[rounds.label][:, None], np.linspace(0.05, 0.95, len(PANEL))
    rounds.scores[:] = right * (1.0 - share_wrong) + (1.0 - right) * share_wrong
    weights = Forecaster.of(learned(rounds), policy, PANEL).weights()
    assert weights[0] > 0.3 or policy.forecaster == "mean"  # three never cross 1/2: the same to the zero-one loss
    assert weights[0] >= weights[1:].max() - 1e-12
    assert weights[4] <= weights[:4].min() + 1e-12
    if policy.forecaster in ("exponential", "leader"):  # the others look at the spread of the regrets too
        assert (np.diff(weights) <= 1e-12).all()


def test_a_turn_on_which_nobody_is_awake_is_not_decided(policy: Policy) -> None:
    forecaster = Forecaster.of(busy(1), policy, PANEL)
    said = forecaster.forecast(np.full((1, 5), np.nan), np.zeros((1, 5), np.bool_))
    assert not said.decided[0]
    assert np.isnan(said.published[0])
    assert np.isnan(said.forecasts[0]).all()
    assert not said.weights.any()


def test_no_turns_give_no_forecasts(policy: Policy) -> None:
    said = Forecaster.of(busy(1), policy, PANEL).forecast(np.zeros((0, 5)), np.zeros((0, 5), np.bool_))
    assert said.forecasts.shape == (0, 4)
    assert said.weights.shape == (0, 5)
