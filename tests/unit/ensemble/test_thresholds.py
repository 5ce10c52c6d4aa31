"""Calibrated thresholds: what the labels say, no more surely than they say it, in whatever parts they came."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ensemble import (
    CLASSES,
    DEFENSIVE,
    PERMISSIVE,
    DecisionThresholds,
    Moments,
    Policy,
    Rounds,
    calibrate,
    fold,
    merge,
    zero,
)
from ensemble.thresholds import certain_counts
from support.rounds import NOON, READINGS, learned, random_rounds

RATE = replace(PERMISSIVE, thresholds="rate")
COST = replace(PERMISSIVE, thresholds="cost", costs=(1.0, 1.0, 3.0))
EDGES = np.arange(101) / 100
seeds = st.integers(0, 2**32 - 1)


def rounds_of(scores: Any, labels: Any, q: Any = 1.0) -> Rounds:
    """Rounds of one expert, whose score is published."""
    one = np.asarray(scores, float)[:, None]
    return Rounds.of(one, one >= 0.0, one, one[:, 0], labels, NOON, used=0, q=q)


def record(scores: Any, labels: Any, q: Any = 1.0) -> Moments:
    return fold(zero(("a@1",), (math.inf,)), rounds_of(scores, labels, q))


def draw(rng: np.random.Generator, count: int) -> tuple[Any, Any]:
    """Scores and labels that overlap: of ten turns seven are safe."""
    labels = rng.choice(3, count, p=(0.7, 0.15, 0.15))
    a, b = np.array([(1.2, 5.0), (3.0, 4.0), (5.0, 2.0)])[labels].T
    return rng.beta(a, b), labels


def both(found: DecisionThresholds) -> tuple[float, float]:
    return found.caution.value, found.unsafe.value


@given(seeds, st.integers(100, 400), st.booleans())
@settings(max_examples=40)
def test_a_threshold_is_the_lowest_at_which_the_policy_itself_decides_at_most_the_target_rate_wrongly(
    seed: int, count: int, rounded: bool
) -> None:
    scores, labels = draw(np.random.default_rng(seed), count)
    if rounded:  # so that scores stand on the edges themselves
        scores = np.round(scores, 2)
    found = calibrate(record(scores, labels), RATE)
    for level, (threshold, negatives) in enumerate(((found.caution, labels == 0), (found.unsafe, labels < 2))):
        assert threshold.calibrated

        def rate(at: float, of: Any = negatives, least: int = level + 1) -> float:
            policy = replace(RATE, caution_at=at, unsafe_at=at if least == 2 else 1.0)
            return float((policy.decide_many(scores[of]) >= least).mean())

        assert rate(threshold.value) <= RATE.false_alarms[level] < rate(threshold.value - 0.01)
        assert threshold.low <= threshold.value <= threshold.high


@given(seeds, st.integers(60, 300), st.sampled_from([RATE, COST]))
@settings(max_examples=40)
def test_thresholds_of_merged_moments_are_those_of_all_rounds_in_one(seed: int, count: int, policy: Policy) -> None:
    rng = np.random.default_rng(seed)
    rounds = rounds_of(*draw(rng, count))
    where = rng.integers(0, 3, count)
    a, b, c = (fold(zero(("a@1",), (math.inf,)), rounds.select(where == part)) for part in range(3))
    whole = fold(zero(("a@1",), (math.inf,)), rounds)
    assert calibrate(merge(c, merge(a, b)), policy) == calibrate(whole, policy)


@given(seeds, st.sampled_from([RATE, COST]))
@settings(max_examples=15)
def test_a_corrected_label_leaves_the_thresholds_of_the_right_one(seed: int, policy: Policy) -> None:
    rng = np.random.default_rng(seed)
    rounds = rounds_of(*draw(rng, 120), q=1.0 + rng.random(120))
    wrong = replace(rounds, label=rng.integers(0, 3, 120).astype(np.uint8))
    moments = fold(zero(("a@1",), (math.inf,)), wrong)
    for n in range(120):
        part, right = wrong.select(slice(n, n + 1)), rounds.select(slice(n, n + 1))
        moments = fold(fold(moments, replace(part, sign=np.array([-1], np.int8))), right)
    corrected = calibrate(moments, policy)
    never_wrong = calibrate(fold(zero(("a@1",), (math.inf,)), rounds), policy)
    for name in ("caution", "unsafe"):
        ours, theirs = getattr(corrected, name), getattr(never_wrong, name)
        assert (ours.value, ours.low, ours.high) == (theirs.value, theirs.low, theirs.high)
        assert ours.effective == pytest.approx(theirs.effective)


@given(st.integers(1, 60), st.floats(0.01, 0.99))
def test_certain_counts_are_those_of_the_binomial_distribution(n: int, rate: float) -> None:
    few, many = certain_counts(n, rate)
    chances = [math.comb(n, k) * rate**k * (1.0 - rate) ** (n - k) for k in range(n + 1)]

    def at_most(k: int) -> float:
        return math.fsum(chances[: k + 1])

    def at_least(k: int) -> float:
        return math.fsum(chances[k:])

    assert at_most(few) <= 0.025 * (1 + 1e-9)
    assert at_most(few + 1) > 0.025 * (1 - 1e-9)
    assert at_least(many) <= 0.025 * (1 + 1e-9)
    assert at_least(many - 1) > 0.025 * (1 - 1e-9)


def test_certain_counts_of_a_million_are_those_of_the_normal_distribution() -> None:
    n, rate = 1_000_000, 0.05
    deviation = 1.959964 * math.sqrt(n * rate * (1.0 - rate))
    assert certain_counts(n, rate) == pytest.approx((n * rate - deviation, n * rate + deviation), abs=3.0)


SAMPLINGS: dict[str, tuple[float, Callable[[Any], Any]]] = {
    "all": (1.0, lambda scores: np.ones(len(scores))),
    "one in ten": (0.1, lambda scores: np.full(len(scores), 0.1)),
    "high scores seldom": (0.1, lambda scores: np.where(scores > 0.3, 0.1, 1.0)),
}


def covered(policy: Policy, truth: tuple[float, float], sampling: str, count: int, trials: int) -> tuple[float, int]:
    """The lower of the two shares of intervals that held the true threshold, and how many there were."""
    floor, asked = SAMPLINGS[sampling]
    policy, held = replace(policy, ask=floor), []
    for trial in range(trials):
        rng = np.random.default_rng([trial, count])
        scores, labels = draw(rng, count)
        keep = rng.random(count) < asked(scores)
        found = calibrate(record(scores[keep], labels[keep], 1.0 / asked(scores)[keep]), policy)
        if found.unsafe.calibrated:
            pairs = zip((found.caution, found.unsafe), truth, strict=True)
            held.append([threshold.low <= true <= threshold.high for threshold, true in pairs])
    return float(np.mean(held, axis=0).min()), len(held)


@pytest.mark.parametrize("sampling", SAMPLINGS)
def test_the_interval_of_a_rate_covers_the_true_threshold_at_least_as_often_as_it_says(sampling: str) -> None:
    scores, labels = draw(np.random.default_rng(0), 1_000_000)
    high = [np.array([(scores[of] >= edge).mean() for edge in EDGES]) for of in (labels == 0, labels < 2)]
    truth = [EDGES[(rates <= target).argmax()] for rates, target in zip(high, RATE.false_alarms, strict=True)]
    share, trials = covered(RATE, (truth[0], truth[1]), sampling, 300 if sampling == "all" else 3000, 300)
    assert share >= 0.95
    assert trials == 300


@pytest.mark.parametrize("sampling", SAMPLINGS)
def test_the_interval_of_a_cost_covers_the_cheapest_threshold_at_least_as_often_as_it_says(sampling: str) -> None:
    scores, labels = draw(np.random.default_rng(0), 1_000_000)
    weights = np.array(COST.costs)[labels]
    truth = [
        EDGES[np.argmin([weights[(scores >= edge) != positive].sum() for edge in EDGES])]
        for positive in (labels > 0, labels > 1)
    ]
    share, trials = covered(COST, (truth[0], truth[1]), sampling, 600 if sampling == "all" else 6000, 100)
    assert share >= 0.95
    assert trials > 90


@given(st.floats(0.8, 3.0), st.floats(2.0, 8.0), st.sampled_from([0.01, 0.05, 0.2]), seeds)
@settings(max_examples=10, derandomize=True)
def test_on_fresh_turns_the_false_positive_rate_is_under_the_target_at_the_high_end_and_above_it_below_the_low_end(
    a: float, b: float, target: float, seed: int
) -> None:
    policy, kept = replace(RATE, false_alarms=(target, target)), []
    rng = np.random.default_rng(seed)
    fresh = rng.beta(a, b, 200_000)
    for _ in range(60):
        found = calibrate(record(rng.beta(a, b, 600), np.zeros(600)), policy).unsafe
        slack = 3.0 * math.sqrt(target / len(fresh))
        above = found.low == 0.0 or (fresh >= found.low - 0.01).mean() > target - slack
        kept.append(above and (fresh >= found.high).mean() <= target + slack)
    assert sum(kept) >= 60 - 8  # of 60 with 5 % each, 9 miss in one of 1,000 such tests


def test_with_no_false_alarm_at_all_the_fixed_values_stand_until_72_negatives_have_come() -> None:
    too_few, enough = (calibrate(record([0.1] * count, [0] * count), RATE) for count in (71, 72))
    assert both(too_few) == (RATE.caution_at, RATE.unsafe_at)
    assert not too_few.unsafe.calibrated
    assert not too_few.caution.calibrated  # 23 are enough for its 15 %, but one without the other is neither
    assert too_few.unsafe.effective == 71.0
    assert both(enough) == (0.11, 0.11)
    assert enough.unsafe.calibrated


def test_where_no_edge_meets_the_rate_the_fixed_values_stand() -> None:
    found = calibrate(record([1.0] * 1000, [0] * 1000), RATE)
    assert not found.unsafe.calibrated
    assert both(found) == (RATE.caution_at, RATE.unsafe_at)


@pytest.mark.parametrize("policy", [RATE, COST])
def test_without_labels_the_fixed_values_stand(policy: Policy) -> None:
    found = calibrate(zero(()), policy)
    assert both(found) == (policy.caution_at, policy.unsafe_at)
    assert (found.unsafe.low, found.unsafe.high) == (policy.unsafe_at, policy.unsafe_at)
    assert found.applied(policy) is policy


def test_a_policy_of_fixed_thresholds_keeps_them_whatever_the_labels_say() -> None:
    found = calibrate(record(*draw(np.random.default_rng(1), 2000)), PERMISSIVE)
    assert both(found) == (PERMISSIVE.caution_at, PERMISSIVE.unsafe_at)
    assert not found.unsafe.calibrated


def test_the_policy_decides_by_what_was_calibrated_and_reads_moments_as_before() -> None:
    found = calibrate(record(*draw(np.random.default_rng(1), 2000)), RATE)
    policy = found.applied(RATE)
    assert (policy.caution_at, policy.unsafe_at) == both(found) != (RATE.caution_at, RATE.unsafe_at)
    assert policy.fingerprint() == RATE.fingerprint()
    assert policy.name == RATE.name


@given(seeds, st.integers(50, 400))
@settings(max_examples=40)
def test_no_other_edge_costs_less(seed: int, count: int) -> None:
    scores, labels = draw(np.random.default_rng(seed), count)
    found = calibrate(record(scores, labels), COST)
    weights = np.array(COST.costs)[labels]
    for threshold, positive in ((found.caution, labels > 0), (found.unsafe, labels > 1)):
        if threshold.calibrated:
            costs = [weights[(scores >= edge) != positive].sum() for edge in EDGES]
            assert weights[(scores >= threshold.value) != positive].sum() == min(costs)
            assert threshold.low <= threshold.value <= threshold.high


def test_of_equally_cheap_edges_the_one_nearest_to_the_fixed_value_is_taken() -> None:
    found = calibrate(record([0.1] * 200 + [0.9] * 200, [0] * 200 + [2] * 200), COST)
    assert both(found) == (COST.caution_at, COST.unsafe_at)
    assert found.unsafe.calibrated
    assert (found.unsafe.low, found.unsafe.high) == (0.11, 0.9)


def test_where_deciding_all_turns_alike_may_be_cheapest_the_fixed_values_stand() -> None:
    rng = np.random.default_rng(2)
    noise = calibrate(record(rng.random(5000), rng.integers(0, 3, 5000)), COST)
    one_class = calibrate(record([0.2] * 5000, [0] * 5000), COST)
    assert not noise.unsafe.calibrated
    assert not one_class.unsafe.calibrated


@pytest.mark.parametrize("mode", ["rate", "cost"])
@given(
    seed=seeds,
    reading=st.sampled_from(READINGS),
    targets=st.permutations([0.0, 0.0, 1.0]),
    rates=st.tuples(st.floats(0.01, 0.9), st.floats(0.01, 0.9)),
)
@settings(max_examples=40)
def test_caution_never_begins_above_unsafe_and_both_are_calibrated_or_none(
    mode: Any, seed: int, reading: Policy, targets: list[float], rates: tuple[float, float]
) -> None:
    policy = replace(reading, targets=(targets[0], targets[1], targets[2]), thresholds=mode, false_alarms=rates)
    found = calibrate(record(*draw(np.random.default_rng(seed), 300)), policy)
    assert 0.0 <= found.caution.value <= found.unsafe.value <= 1.0
    assert found.caution.calibrated == found.unsafe.calibrated
    for one in (found.caution, found.unsafe):
        assert 0.0 <= one.low <= one.value <= one.high <= 1.0
    found.applied(policy)


def test_a_rate_of_unsafe_above_that_of_caution_raises_unsafe_to_caution_so_that_both_hold() -> None:
    scores, labels = draw(np.random.default_rng(3), 2000)
    found = calibrate(record(scores, labels), replace(DEFENSIVE, thresholds="rate", false_alarms=(0.02, 0.3)))
    assert found.unsafe.value == found.caution.value
    assert (scores[labels == 0] >= found.unsafe.value).mean() <= 0.02


def test_a_label_that_stands_for_ten_counts_once_in_an_interval_and_ten_times_in_nothing() -> None:
    scores, labels = draw(np.random.default_rng(4), 1000)
    plain, sampled = record(scores, labels), record(scores, labels, 10.0)
    whole = calibrate(plain, RATE)
    assert calibrate(sampled, replace(RATE, ask=0.1)) == whole
    assert calibrate(sampled, RATE) == whole  # the policy asks always now: the weights tell that it did not
    fewer = calibrate(plain, replace(RATE, ask=0.1)).unsafe  # where a weight of 10 was possible, 1 is less certain
    assert fewer.effective == pytest.approx(whole.unsafe.effective / 10.0)


def test_classes_of_a_policy_without_negatives_calibrate_nothing() -> None:
    everything = replace(RATE, targets=(1.0, 1.0, 1.0))
    assert len(CLASSES) == 3
    for mode in ("rate", "cost"):
        found = calibrate(learned(random_rounds(1, 500)), replace(everything, thresholds=mode))
        assert not found.unsafe.calibrated
