"""Regret never exceeds its bound, whoever advises, whatever label comes, however late; and an alarm is an alarm."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ensemble import DEFENSIVE, PERMISSIVE, Moments, Policy, Rounds, align, cumulative, fold, merge, report, zero
from ensemble.policy import Rule
from ensemble.regret import RegretReport
from ensemble.squares import squared_regret
from support import adversaries
from support.adversaries import Stream
from support.guarantees import GUARANTEES, Guarantee, trials
from support.rounds import NOON, PANEL, READINGS, learned, random_rounds

BOUNDED = [policy for policy in READINGS if policy.loss != "zero_one"]
TURNS = 240


def assert_held(told: RegretReport) -> None:
    assert np.isfinite(told.bounds).all()
    assert (told.regret <= told.bounds + 1e-9).all(), (told.regret, told.bounds)
    assert not told.alarm


def assert_held_throughout(stream: Stream, turns: int = TURNS, every: int = 10) -> RegretReport:
    for turn, moments in enumerate(stream.run(turns)):
        if turn % every == 0:
            assert_held(report(moments, stream.policy, prior=stream.prior))
    told = report(stream.drain(), stream.policy, prior=stream.prior)
    assert_held(told)
    return told


@pytest.mark.parametrize("policy", BOUNDED, ids=lambda policy: policy.name)
@pytest.mark.parametrize("advise", [adversaries.constants, adversaries.noise, adversaries.sleepy_constants])
@pytest.mark.parametrize(
    "judge", [adversaries.against, adversaries.in_blocks, adversaries.turning], ids=lambda judge: judge.__name__
)
@pytest.mark.parametrize("delay", [0, 40], ids=lambda delay: f"delay-{delay}")
def test_the_bound_holds_against_adversaries(
    policy: Policy, advise: adversaries.Advise, judge: adversaries.Judge, delay: int
) -> None:
    assert_held_throughout(Stream(policy, advise, judge, adversaries.after(delay)))


@pytest.mark.parametrize("policy", BOUNDED, ids=lambda policy: policy.name)
@given(st.integers(0, 2**32 - 1), st.sampled_from([3, 50, 500]), st.integers(1, 6))
@settings(max_examples=4)
def test_the_bound_holds_when_labels_come_in_any_order_up_to_500_turns_late(
    policy: Policy, seed: int, delay: int, experts: int
) -> None:
    stream = Stream(
        policy, adversaries.sleepy_constants, adversaries.at_random, adversaries.within(delay), experts, seed
    )
    told = assert_held_throughout(stream, 120, every=30)
    assert told.delay > 0.0


def test_the_bound_holds_with_a_prior_that_bets_on_the_wrong_expert() -> None:
    prior = np.array([0.97, 0.01, 0.01, 0.01])
    stream = Stream(PERMISSIVE, adversaries.constants, lambda *_: 2, adversaries.after(5), prior=prior)
    told = assert_held_throughout(stream)
    assert told.regret[3] > 0.0
    assert told.bounds[3] - told.bounds[0] == pytest.approx(2.0 * math.log(97.0))


@pytest.mark.parametrize("policy", [PERMISSIVE, READINGS[2], READINGS[4]], ids=lambda policy: policy.name)
def test_the_weighted_regret_of_sampled_labels_is_under_its_bound(policy: Policy) -> None:
    stream = Stream(
        policy, adversaries.constants, adversaries.against, adversaries.within(30), seed=5, labelled_with=0.2
    )
    told = assert_held_throughout(stream)
    assert 0 < told.rounds < TURNS / 2


def test_without_delay_the_brier_bound_is_a_constant_in_the_rounds() -> None:
    policy = READINGS[2]
    stream = Stream(policy, adversaries.noise, adversaries.at_random, adversaries.after(0))
    expected = 2.0 * policy.w_max * (math.log(4) + math.log(4))
    for moments in stream.run(50):
        assert report(moments, policy).bounds == pytest.approx([expected] * 4)
        assert report(moments, policy).delay == 0.0


def test_a_constant_delay_adds_half_the_dearest_cost_for_each_missing_label_until_the_generic_bound_is_smaller() -> (
    None
):
    def bound(delay: int) -> tuple[float, int, float]:
        stream = Stream(PERMISSIVE, adversaries.noise, adversaries.at_random, adversaries.after(delay))
        told = report(list(stream.run(100))[-1], PERMISSIVE)
        return told.bound - 4.0 * math.log(4.0), told.rounds, told.delay

    extra, _, missing = bound(0)
    assert extra == pytest.approx(0.0, abs=1e-9)
    assert missing == 0.0
    extra, rounds, missing = bound(10)
    assert missing == pytest.approx(sum(min(k, 10) for k in range(rounds)))
    assert extra == pytest.approx(min(missing / 2.0, (rounds + 2.0 * missing) / 8.0))


def test_the_absolute_bound_grows_with_the_root_of_the_rounds() -> None:
    policy = READINGS[3]
    stream = Stream(policy, adversaries.noise, adversaries.at_random, adversaries.after(0))
    bounds = [report(moments, policy).bound for moments in stream.run(64)]
    assert bounds[63] == pytest.approx(8.0 * bounds[0])
    scale = math.sqrt(8.0 * math.log(4.0))
    assert bounds[0] == pytest.approx(policy.w_max * (2.0 * math.log(4.0) / scale + scale / 2.0))


def test_an_expert_right_exactly_while_awake_is_bounded_by_what_mixing_won_while_it_slept() -> None:
    stream = Stream(PERMISSIVE, adversaries.sleepy_constants, adversaries.turning, adversaries.after(0), experts=3)
    for moments in stream.run(TURNS):
        last = moments
    told = report(last, PERMISSIVE)
    asleep = last.total[0, :, 0].sum() - last.published[..., 0].sum(axis=-1)
    steady = cumulative(last.hedge, PERMISSIVE)[0] - cumulative(last.forecast, PERMISSIVE)[0]
    won = steady - (cumulative(last.total[0], PERMISSIVE) - cumulative(last.published, PERMISSIVE))
    assert (asleep > 50).all()
    np.testing.assert_allclose(told.bounds, 2.0 * (math.log(3) + math.log(4)) + np.maximum(won, 0.0))


def test_a_sleeper_may_lose_more_than_the_constant_because_half_lives_are_chosen_for_all_rounds() -> None:
    stream = Stream(
        PERMISSIVE,
        adversaries.tide_and_a_sleeper,
        adversaries.with_the_tide,
        adversaries.after(0),
        experts=3,
        pace_s=600.0,
    )
    told = assert_held_throughout(stream, 61 * 25, every=61)
    assert told.regret[2] > 2.0 * (math.log(3) + math.log(4))


def test_the_report_counts_every_loss_where_its_expert_was_awake() -> None:
    scores, awake = [[0.9, 0.2], [0.6, np.nan]], [[True, True], [True, False]]
    moments = fold(
        zero(("a@1", "b@1")),
        Rounds.of(scores, awake, [[0.5] * 4, [0.6] * 4], [0.5, 0.6], [2, 0], NOON, used=[0, 0]),
    )
    told = report(moments, PERMISSIVE)
    assert told.loss == pytest.approx(0.25 + 0.36)
    assert told.losses == pytest.approx([0.01 + 0.36, 0.64])
    assert told.regret == pytest.approx([0.24, 0.25 - 0.64])
    assert (told.rounds, told.delay) == (2, 1.0)
    assert told.bound == told.bounds[0]
    assert told.ratio == pytest.approx(0.24 / told.bounds[0])


def wrong_verdicts(count: int) -> Moments:
    """A worker that publishes 1 where an expert that it hears says 0 and people say safe."""
    n = np.ones(count)
    return fold(
        zero(("right@1", "wrong@1")),
        Rounds.of(
            np.outer(n, [0.0, 1.0]), np.ones((count, 2)), np.outer(n, np.ones(4)), n, 0 * n, NOON, used=np.arange(count)
        ),
    )


def test_verdicts_that_ignore_what_was_learned_raise_the_alarm_once_they_pass_the_bound() -> None:
    limit = 2.0 * (math.log(2) + math.log(4))
    told = {count: report(wrong_verdicts(count), PERMISSIVE) for count in (int(limit), int(limit) + 1)}
    assert [one.alarm for one in told.values()] == [False, True]
    assert [one.ratio > 1.0 for one in told.values()] == [False, True]


def test_there_is_no_bound_and_no_alarm_under_the_zero_one_loss() -> None:
    told = report(wrong_verdicts(500), READINGS[5])
    assert told.bounds.tolist() == [math.inf, math.inf]
    assert not told.alarm
    assert told.regret.max() == 500.0


def test_a_context_without_labels_has_no_regret_and_its_full_bound() -> None:
    told = report(zero(PANEL), PERMISSIVE)
    assert told.regret.tolist() == [0.0] * 5
    assert told.bound == pytest.approx(2.0 * (math.log(5) + math.log(4)))
    assert (told.rounds, told.ratio, told.alarm) == (0, 0.0, False)


def test_a_context_without_experts_is_reported_without_alarm() -> None:
    told = report(zero(()), PERMISSIVE)
    assert (len(told.regret), told.bound, told.ratio, told.alarm) == (0, math.inf, 0.0, False)


def test_one_expert_on_one_half_life_is_its_own_ensemble() -> None:
    rounds = Rounds.of([[0.3]], [[True]], [[0.3]], [0.3], [2], NOON, used=0)
    told = report(fold(zero(("a@1",), (math.inf,)), rounds), PERMISSIVE)
    assert told.regret.tolist() == [0.0]
    assert not told.alarm


def test_the_report_does_not_depend_on_how_the_moments_were_summed() -> None:
    rounds = random_rounds(17, 90)
    parts = merge(learned(rounds.select(slice(60, 90))), learned(rounds.select(slice(0, 60))))
    for policy in READINGS:
        whole, summed = report(learned(rounds), policy), report(parts, policy)
        np.testing.assert_allclose(summed.regret, whole.regret, atol=1e-9)
        np.testing.assert_allclose(summed.bounds, whole.bounds, rtol=1e-9)


@pytest.mark.parametrize("policy", BOUNDED, ids=lambda policy: policy.name)
@pytest.mark.parametrize("advise", [adversaries.constants, adversaries.sleepy_constants])
@pytest.mark.parametrize("delay", [0, 30], ids=lambda delay: f"delay-{delay}")
def test_after_a_policy_change_the_bound_holds_for_the_regret_since(
    policy: Policy, advise: adversaries.Advise, delay: int
) -> None:
    before = replace(PERMISSIVE, targets=(1.0, 0.0, 0.0), costs=(5.0, 1.0, 1.0))
    stream = Stream(before, advise, adversaries.in_blocks, adversaries.within(delay), seed=3)
    *_, baseline = stream.run(100)
    stream.policy = policy
    for turn, moments in enumerate(stream.run(160)):
        if turn % 10 == 0:
            assert_held(report(moments, policy, baseline=baseline))
    last = stream.drain()
    told = report(last, policy, baseline=baseline)
    assert_held(told)
    assert told.rounds == last.rounds - baseline.rounds
    assert told.regret == pytest.approx(report(last, policy).regret - report(baseline, policy).regret)


def test_turns_that_the_old_policy_forecast_raise_no_alarm_when_their_labels_come_after_the_change() -> None:
    one_half_life, panel = (math.inf,), ("right@1", "wrong@1")

    def rounds(count: int, used: float) -> Rounds:
        n = np.ones(count)
        advised = np.outer(n, [0.0, 1.0])
        return Rounds.of(advised, np.ones((count, 2)), n[:, None], n, 0 * n, NOON, used=used)

    baseline = fold(zero(panel, one_half_life), rounds(50, 0.0))
    told = report(fold(baseline, rounds(2, 50.0)), PERMISSIVE, baseline=baseline)
    assert (told.rounds, told.delay, told.regret[0]) == (2, 1.0, 2.0)
    assert not told.alarm
    assert told.bounds[0] == pytest.approx(0.5 + 2.0 * 2.0, abs=1e-6)


def test_since_a_change_the_weights_at_the_change_are_the_prior() -> None:
    stream = Stream(PERMISSIVE, adversaries.constants, adversaries.turning, adversaries.after(0))
    *_, baseline = stream.run(60)
    told = report(baseline, DEFENSIVE, baseline=baseline)
    leads = report(baseline, DEFENSIVE).losses
    assert told.regret.tolist() == [0.0] * 4
    assert told.bounds - told.bounds[0] == pytest.approx(leads - leads[0])


def test_a_newcomer_since_the_baseline_has_the_bound_of_a_sleeper() -> None:
    baseline = learned(random_rounds(2, 30, asleep=0.0, sampled=False))
    grown = align(baseline, (*PANEL, "newcomer@1"))
    told = report(grown, PERMISSIVE, baseline=baseline)
    assert told.regret[5] == 0.0
    assert told.bounds[5] > 0.0
    assert not told.alarm


SHORT: list[tuple[Guarantee, int]] = [
    (guarantee, delay) for guarantee in GUARANTEES for delay in (0, 500) if delay in guarantee.delays
]
LONG: list[tuple[Guarantee, int]] = [
    (guarantee, 5000) for guarantee in GUARANTEES if guarantee.name in ("exponential weights", "Squint")
]


@pytest.mark.parametrize(
    ("guarantee", "delay"),
    SHORT + LONG,
    ids=lambda value: f"{value.name}-{value.policy.loss}" if isinstance(value, Guarantee) else str(value),
)
def test_no_stream_breaks_what_is_guaranteed(guarantee: Guarantee, delay: int) -> None:
    """`python -m benchmarks.bounds` runs the same for longer."""
    ratios = {trial.stream: trial.ratio(60) for trial in trials((delay,)) if trial.guarantee is guarantee}
    assert 0.0 < max(ratios.values()) <= 1.0, ratios  # above 0: some expert was better than the ensemble


def test_without_delay_squints_bound_grows_with_the_root_of_the_squared_regrets_to_that_expert() -> None:
    policy = replace(PERMISSIVE, forecaster="squint")
    stream = Stream(policy, adversaries.constants, adversaries.in_blocks, adversaries.after(0))
    *_, moments = stream.run(200)
    squared = squared_regret(moments.squared, policy)[0]
    learned_at = [min(2.0**-j / 2.0 * v + math.log(4 * 16) / (2.0**-j / 2.0) for j in range(16)) for v in squared]
    np.testing.assert_allclose(report(moments, policy).bounds, np.array(learned_at) + 2.0 * math.log(4))
    assert report(moments, policy).bounds.max() < 4.0 * math.sqrt(float(squared.max()) * math.log(4 * 16))


def test_mlpol_is_bounded_without_delay_and_by_nothing_with_it() -> None:
    policy = replace(PERMISSIVE, forecaster="mlpol")
    for delay, bounded in ((0, True), (1, False)):
        stream = Stream(policy, adversaries.constants, adversaries.in_blocks, adversaries.after(delay))
        *_, moments = stream.run(100)
        told = report(moments, policy)
        assert np.isfinite(told.bounds).all() == bounded
        assert not told.alarm


@pytest.mark.parametrize("rule", ["squint", "mlpol"])
def test_rules_that_must_know_the_largest_importance_weight_promise_nothing_where_one_is_larger(rule: Rule) -> None:
    rounds = replace(random_rounds(4, 60, asleep=0.0), q=np.full(60, 4.0))
    used = replace(rounds, used=4.0 * np.arange(60.0))
    asked, not_asked = (replace(PERMISSIVE, forecaster=rule, ask=ask) for ask in (0.25, 0.3))
    assert np.isfinite(report(learned(used), asked).bounds).all()
    assert np.isinf(report(learned(used), not_asked).bounds).all()


@pytest.mark.parametrize(("rule", "judge"), [("mean", lambda *_: 2), ("leader", adversaries.against)])
def test_the_mean_and_the_leader_lose_in_proportion_to_the_rounds_and_raise_no_alarm(
    rule: Rule, judge: adversaries.Judge
) -> None:
    policy = replace(PERMISSIVE, forecaster=rule)
    *_, moments = Stream(policy, adversaries.constants, judge, adversaries.after(0), experts=2).run(100)
    told = report(moments, policy)
    assert told.regret.max() > 2.0 * report(moments, PERMISSIVE).bound  # exponential weights would have been under it
    assert np.isinf(told.bounds).all()
    assert (told.ratio, told.alarm) == (0.0, False)


def test_a_round_forecast_before_an_inherited_prior_was_fixed_may_cost_a_whole_round() -> None:
    panel, half_life = ("right@1", "wrong@1"), (math.inf,)
    rounds = Rounds.of([[0.0, 1.0]], [[True, True]], [[1.0]], [1.0], [0], NOON, used=0)  # then the wrong one led
    moments = fold(zero(panel, half_life), rounds)
    prior = np.array([0.97, 0.03])
    told = report(moments, PERMISSIVE, prior=prior)
    assert told.regret[0] == 1.0
    assert told.bounds[0] == pytest.approx(2.0 * math.log(1.0 / 0.97) + 1.0)
    assert not told.alarm
    later = replace(rounds, used=np.array([1.0]))
    assert report(fold(moments, later), PERMISSIVE, prior=prior).bounds[0] == pytest.approx(told.bounds[0])


@given(st.integers(0, 2**32 - 1), st.sampled_from([0, 7]))
@settings(max_examples=10)
def test_no_prior_that_moves_until_the_first_label_raises_an_alarm(seed: int, delay: int) -> None:
    for rule in ("exponential", "squint"):
        policy = replace(PERMISSIVE, forecaster=rule)
        stream = Stream(
            policy, adversaries.constants, adversaries.against, adversaries.after(delay), seed=seed, inherits=True
        )
        assert_held_throughout(stream, 30)


def test_without_delay_mlpols_bound_is_the_root_of_the_growth_of_its_potential() -> None:
    policy, half_life = replace(PERMISSIVE, forecaster="mlpol"), (math.inf,)
    rounds = Rounds.of([[0.0, 1.0]], [[True, True]], [[0.5]], [0.5], [2], NOON, used=0)
    told = report(fold(zero(("wrong@1", "right@1"), half_life), rounds), policy)
    squared = np.array([0.75**2, 0.25**2])
    expected = np.sqrt((1.0 + squared) * math.log2(1.0 + squared[0]) + (1.0 + squared) * math.log2(1.0 + squared[1]))
    assert told.regret.tolist() == [-0.75, 0.25]
    assert told.bounds == pytest.approx(expected)
