"""A loss that departs from its long run raises an alarm, and one that stays does not, as seldom as is promised."""

from __future__ import annotations

import itertools
import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ensemble import (
    ENSEMBLE,
    HALF_LIVES,
    Departure,
    Moments,
    Policy,
    Rounds,
    departures,
    fold,
    merge,
    shadow_of,
    total,
    zero,
)
from ensemble.deviations import disjoint, evidence, kl, largest_q
from support.rounds import NOON, PANEL, READINGS, learned, random_rounds
from support.textbook import loss_of

READ = Policy("read", targets=(0.0, 0.0, 1.0), loss="absolute")
"""A score on a safe turn is its loss."""
means = st.floats(0.05, 0.95)


def losing(losses: Any, experts: tuple[str, ...], gap_s: float, start: float = NOON, q: Any = 1.0) -> Moments:
    """Rounds in which each expert lost losses[N, K] and the ensemble what the first did, one every `gap_s`."""
    lost = np.asarray(losses, float)
    one = lost[:, :1]
    forecasts = np.repeat(one, len(HALF_LIVES), axis=1)
    at = start + gap_s * np.arange(len(lost))
    rounds = Rounds.of(lost, lost >= 0.0, forecasts, one[:, 0], np.zeros(len(lost)), at, used=0, q=q)
    return fold(zero(experts), rounds)


def told(moments: Moments, policy: Policy = READ, alpha: float = 1e-6) -> dict[str, Departure]:
    return {one.scorer: one for one in departures(moments, policy, alpha)}


@given(st.integers(1, 40), means)
def test_the_evidence_against_the_true_mean_is_one_on_average(n: int, mu: float) -> None:
    chances = [math.comb(n, k) * mu**k * (1.0 - mu) ** (n - k) for k in range(n + 1)]
    assert math.fsum(p * math.exp(evidence(n, k / n, mu)) for k, p in enumerate(chances)) == pytest.approx(1.0)


@given(st.lists(st.floats(0.0, 1.0), min_size=1, max_size=7), means, st.floats(1.0, 30.0), st.floats(1.0, 30.0))
@settings(max_examples=60)
def test_it_is_at_most_one_under_decay_and_when_labels_are_sampled_by_what_was_lost(
    decay: list[float], mu: float, q_right: float, q_wrong: float
) -> None:
    worst = max(q_right, q_wrong)
    fates = (
        (0.0, 0.0, mu * (1.0 - 1.0 / q_wrong) + (1.0 - mu) * (1.0 - 1.0 / q_right)),  # no label
        (q_wrong, 1.0, mu / q_wrong),
        (q_right, 0.0, (1.0 - mu) / q_right),
    )
    average = 0.0
    for outcome in itertools.product(fates, repeat=len(decay)):
        weights = [d * q / worst for d, (q, _, _) in zip(decay, outcome, strict=True)]
        n, lost = math.fsum(weights), math.fsum(w * x for w, (_, x, _) in zip(weights, outcome, strict=True))
        chance = math.prod(p for _, _, p in outcome)
        average += chance * (math.exp(evidence(n, min(lost / n, 1.0), mu)) if n > 0.0 else 1.0)
    assert average <= 1.0 + 1e-9


def test_the_true_mean_is_ruled_out_less_often_than_it_may_be_and_not_never() -> None:
    n, mu, delta = 200, 0.3, 0.05
    chances = [math.comb(n, k) * mu**k * (1.0 - mu) ** (n - k) for k in range(n + 1)]
    ruled_out = math.fsum(p for k, p in enumerate(chances) if evidence(n, k / n, mu) >= -math.log(delta))
    assert delta / 100.0 < ruled_out <= delta


@given(st.floats(0.5, 5e4), st.floats(0, 1), st.floats(0.5, 5e4), st.floats(0, 1), st.floats(1.0, 25.0))
def test_sets_are_disjoint_when_even_the_mean_that_suits_both_best_is_in_one_only(
    n: float, x: float, m: float, y: float, level: float
) -> None:
    def worse(mu: float) -> float:
        return max(evidence(n, x, mu), evidence(m, y, mu))

    low, high = min(x, y), max(x, y)
    for _ in range(200):  # a maximum of convex functions has one minimum
        left, right = (2.0 * low + high) / 3.0, (low + 2.0 * high) / 3.0
        low, high = (low, right) if worse(left) <= worse(right) else (left, high)
    least = min(worse(low), worse(high))
    if abs(least - level) > 1e-6 * level:
        assert disjoint(n, x, m, y, level) == disjoint(m, y, n, x, level) == (least > level)


def test_the_evidence_of_many_rounds_is_kl_but_for_a_logarithm() -> None:
    n, x, mu = 1e5, 0.12, 0.1
    assert evidence(n, x, mu) == pytest.approx(n * float(kl(x, mu)), abs=math.log(n))
    assert evidence(10.0, 0.3, 0.0) == evidence(10.0, 0.3, 1.0) == math.inf
    assert evidence(10.0, 0.3, 0.3) <= 0.0
    assert float(kl(0.1, 0.2)) == 0.0


def test_the_largest_weight_is_that_of_the_policy_or_what_the_rounds_show() -> None:
    assert largest_q(100.0, 100.0, ask=1.0) == 1.0
    assert largest_q(100.0, 100.0, ask=0.1) == 10.0
    assert largest_q(100.0, 2000.0, ask=0.1) == 20.0
    assert largest_q(0.0, 0.0, ask=0.5) == 2.0


def sampled_by_loss(rng: np.random.Generator, count: int, mu: float) -> tuple[Any, Any]:
    """Losses of the labelled turns and their q: one in ten of those that lost something is asked for, others always."""
    lost = (rng.random(count) < mu).astype(float)
    ask = np.where(lost > 0.0, 0.1, 1.0)
    kept = rng.random(count) < ask
    return lost[kept], 1.0 / ask[kept]


def false_alarms(alpha: float, policy: Policy, streams: int) -> float:
    """The share of looks at streams whose mean loss stays that raise any alarm."""
    looks = []
    for seed in range(streams):
        rng = np.random.default_rng(seed)
        mu, gap = rng.choice([0.02, 0.1, 0.4]), rng.choice([1.0, 60.0, 900.0])
        lost, q = sampled_by_loss(rng, 1500, mu) if policy.samples else ((rng.random(1500) < mu).astype(float), 1.0)
        moments = losing(lost[:, None], ("a@1",), gap, q=q)
        looks += [any(one.departed for one in departures(moments, policy, alpha))]
    return float(np.mean(looks))


@pytest.mark.parametrize("ask", [1.0, 0.1])
def test_streams_whose_mean_stays_raise_no_more_alarms_than_alpha(ask: float) -> None:
    assert false_alarms(0.05, replace(READ, ask=ask), 300) <= 0.05


def test_a_stream_that_stays_is_quiet_at_every_look_of_a_long_day() -> None:
    rng = np.random.default_rng(7)
    moments = zero(PANEL)
    for part in range(300):
        more = losing(rng.random((60, 5)) < 0.1, PANEL, 5.0, NOON + 300.0 * part)
        moments = merge(moments, more)
        assert not any(one.departed for one in departures(moments, READ))


def test_an_expert_whose_loss_doubles_and_more_is_named_within_a_few_hundred_labels_and_no_other() -> None:
    rng = np.random.default_rng(8)
    before = losing(rng.random((20_000, 5)) < 0.1, PANEL, 60.0)
    moments, labels = before, 0
    while not (alarmed := {name: one for name, one in told(moments).items() if one.departed}):
        rates = np.array([0.1, 0.3, 0.1, 0.1, 0.1])
        more = losing(rng.random((50, 5)) < rates, PANEL, 60.0, NOON + 60.0 * (20_000 + labels))
        moments, labels = merge(moments, more), labels + 50
        assert labels <= 1500
    (departed,) = alarmed.values()
    assert departed.scorer == PANEL[1]
    assert departed.worse
    assert departed.recent > 1.3 * departed.long_run
    assert departed.half_life in HALF_LIVES[1:]
    assert labels >= 50


def test_a_loss_that_falls_departs_as_better_and_the_ensemble_is_told_by_its_name() -> None:
    rng = np.random.default_rng(9)
    lost = rng.random(24_000) < np.where(np.arange(24_000) < 20_000, 0.3, 0.05)
    found = told(losing(lost[:, None], ("a@1",), 60.0))
    assert set(found) == {"a@1", ENSEMBLE}
    assert all(one.departed and not one.worse for one in found.values())


@pytest.mark.parametrize("policy", READINGS, ids=lambda policy: policy.name)
@given(seed=st.integers(0, 2**32 - 1), count=st.integers(1, 40))
@settings(max_examples=10)
def test_the_means_are_those_of_the_losses_round_by_round(policy: Policy, seed: int, count: int) -> None:
    rounds = random_rounds(seed, count)
    moments = learned(rounds)
    for found in departures(moments, policy):
        k = PANEL.index(found.scorer) if found.scorer != ENSEMBLE else None
        heard = rounds.awake[:, k] if k is not None else rounds.awake.any(axis=1)
        scores = rounds.scores[heard, k] if k is not None else rounds.published[heard]
        losses = [loss_of(policy, int(label), float(p)) for label, p in zip(rounds.label[heard], scores, strict=True)]
        if not losses:
            assert math.isnan(found.long_run)
            continue
        q = rounds.q[heard]
        recent = q * 0.5 ** ((moments.at - rounds.scored_at[heard]) / found.half_life)
        assert found.long_run == pytest.approx(np.average(losses, weights=q), abs=1e-9)
        if recent.sum() > 1e-6:
            assert found.recent == pytest.approx(np.average(losses, weights=recent), abs=1e-6)


def test_what_departed_does_not_depend_on_how_the_moments_were_summed() -> None:
    rng = np.random.default_rng(10)
    lost = rng.random((22_000, 2)) < np.where(np.arange(22_000) < 20_000, 0.1, 0.4)[:, None]
    parts = [
        losing(lost[start : start + 5500], ("a@1", "b@1"), 60.0, NOON + 60.0 * start)
        for start in range(0, 22_000, 5500)
    ]
    whole = departures(losing(lost, ("a@1", "b@1"), 60.0), READ)
    assert all(one.departed for one in whole)
    for ours, theirs in zip(departures(total(parts[::-1]), READ), whole, strict=True):
        assert (ours.scorer, ours.half_life, ours.departed) == (theirs.scorer, theirs.half_life, theirs.departed)
        assert (ours.recent, ours.long_run) == pytest.approx((theirs.recent, theirs.long_run))


def test_a_label_that_stands_for_ten_speaks_once() -> None:
    rng = np.random.default_rng(11)
    lost = rng.random((5000, 1)) < np.where(np.arange(5000) < 4000, 0.1, 0.4)[:, None]
    # One in five of all labels came after the jump: compared with a long run that it is part of, it would be missed.
    once, tenfold = (losing(lost, ("a@1",), 60.0, q=q) for q in (1.0, 10.0))
    sampled = departures(tenfold, replace(READ, ask=0.1))
    assert [one.departed for one in departures(once, READ)] == [True, True]
    assert [one.departed for one in sampled] == [True, True]
    assert [one.departed for one in departures(once, replace(READ, ask=0.1))] == [False, False]


def test_shadows_are_left_out_and_a_retired_expert_stays_quiet() -> None:
    rng = np.random.default_rng(12)
    retired = losing(rng.random((5000, 1)) < 0.5, ("old@1",), 60.0)
    later = losing(rng.random((5000, 2)) < 0.1, ("a@1", shadow_of("b@1")), 60.0, NOON + 60 * 86_400.0)
    found = told(merge(retired, later))
    assert set(found) == {"a@1", "old@1", ENSEMBLE}
    assert not found["old@1"].departed


def test_nothing_departs_without_rounds_or_without_a_half_life_to_compare_with() -> None:
    assert [(one.departed, math.isnan(one.recent)) for one in departures(zero(("a@1",)), READ)] == [(False, True)] * 2
    assert departures(zero(("a@1",), (math.inf,)), READ) == ()
    assert [one.scorer for one in departures(zero(()), READ)] == [ENSEMBLE]
