"""A shadow is learned about and has no part in weights, bound and alarm, however often it comes and goes."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ensemble import PERMISSIVE, Forecaster, Moments, Policy, Rounds, align, fold, report, shadow_of, zero
from ensemble.shadows import expert_of, is_shadow, shadows_of, voters_of
from support import adversaries
from support.adversaries import Stream
from support.rounds import NOON, PANEL, READINGS, learned, random_rounds

STEADY = [policy for policy in READINGS if policy.loss in ("brier", "log")]
"""The losses whose rate does not depend on how many experts there are."""
SHADOW = shadow_of(PANEL[1])


def with_a_shadow(rounds: Rounds, moments: Moments) -> Moments:
    """The rounds folded so that the second expert had no vote in any of them."""
    columns = [0, 1, 2, 3, 4, 1]
    awake = rounds.awake[:, columns]
    awake[:, 1] = False
    shown = replace(rounds, scores=rounds.scores[:, columns], awake=awake)
    return fold(align(moments, (*PANEL, SHADOW)), shown)


def test_the_name_of_a_row_says_whether_its_expert_voted() -> None:
    assert (is_shadow(SHADOW), is_shadow(PANEL[1]), expert_of(SHADOW), expert_of(PANEL[0])) == (
        True,
        False,
        PANEL[1],
        PANEL[0],
    )
    rows = (PANEL[0], SHADOW, PANEL[1])
    assert (voters_of(rows), shadows_of(rows)) == ((PANEL[0], PANEL[1]), (SHADOW,))


@pytest.mark.parametrize("policy", STEADY, ids=lambda policy: policy.name)
@pytest.mark.parametrize("advise", [adversaries.constants, adversaries.noise, adversaries.sleepy_constants])
@pytest.mark.parametrize("judge", [adversaries.against, adversaries.turning], ids=lambda judge: judge.__name__)
@pytest.mark.parametrize("delay", [0, 40], ids=lambda delay: f"delay-{delay}")
def test_the_bound_holds_for_voters_while_experts_are_shadowed_and_enabled_again_and_again(
    policy: Policy, advise: adversaries.Advise, judge: adversaries.Judge, delay: int
) -> None:
    stream = Stream(policy, advise, judge, adversaries.after(delay), votes=adversaries.in_turn)
    for turn, moments in enumerate(stream.run(300)):
        if turn % 10 == 0:
            told = report(moments, policy)
            assert (told.regret <= told.bounds + 1e-9).all(), (told.regret, told.bounds)
            assert np.isfinite(told.bounds).all()
            assert not told.alarm
    told = report(stream.drain(), policy)
    assert not told.alarm
    assert (told.experts, told.shadows) == (stream.panel, stream.panel)
    assert stream.moments.own[len(stream.panel) :, :, 0].sum() > 100.0


def test_a_head_start_from_its_shadow_rounds_would_break_the_bound_that_a_row_of_its_own_keeps() -> None:
    bound = 2.0 * math.log(2.0)  # one half-life

    def regret_to_the_steady_one(head_start: bool) -> float:
        panel, row = ("steady@1", "turncoat@1"), 1 if head_start else 2
        moments = zero((*panel, shadow_of(panel[1])), (math.inf,))
        for turn in range(120):
            votes, unsafe = turn >= 60, turn < 60  # right while it is a shadow, and never again
            said = Forecaster.of(moments, PERMISSIVE, panel).forecast([[0.0, 1.0]], np.array([[True, votes]]))
            awake = np.zeros((1, 3), np.bool_)
            awake[0, [0, 1 if votes else row]] = True
            moments = fold(
                moments,
                Rounds.of(
                    [[0.0, 1.0, 1.0]], awake, said.forecasts, said.published, [2 * unsafe], NOON + turn, used=turn
                ),
            )
        return float(report(moments, PERMISSIVE).regret[0])

    assert regret_to_the_steady_one(head_start=False) <= bound
    assert regret_to_the_steady_one(head_start=True) > 10.0 * bound


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=15)
def test_rounds_as_a_shadow_change_no_weight(seed: int) -> None:
    before, rounds = learned(random_rounds(seed, 40)), random_rounds(seed + 1, 40)
    others = tuple(name for name in PANEL if name != PANEL[1])
    heard = [PANEL.index(name) for name in others]
    without = fold(align(before, others), replace(rounds, scores=rounds.scores[:, heard], awake=rounds.awake[:, heard]))
    kept = rounds.select(np.flatnonzero(rounds.awake[:, heard].any(axis=1)))
    shadowed = with_a_shadow(kept, before)
    for policy in STEADY:
        left, right = Forecaster.of(without, policy, others), Forecaster.of(shadowed, policy, others)
        np.testing.assert_allclose(left.weights(), right.weights(), rtol=1e-12)
        assert (left.rounds, left.used) == (right.rounds, right.used)


def test_the_report_of_voters_is_the_same_with_a_shadow_beside_them() -> None:
    rounds = random_rounds(3, 80, asleep=0.0)
    moments = with_a_shadow(rounds, zero(()))
    alone = report(align(moments, voters_of(moments.experts)), PERMISSIVE)
    told = report(moments, PERMISSIVE)
    for name in ("experts", "rounds", "delay", "loss", "bound", "ratio", "alarm"):
        assert getattr(told, name) == getattr(alone, name), name
    np.testing.assert_array_equal(told.bounds, alone.bounds)
    np.testing.assert_array_equal(told.regret, alone.regret)


def test_a_shadow_that_does_better_than_the_verdicts_by_any_amount_raises_no_alarm() -> None:
    n = np.ones(500)
    moments = fold(
        zero(("wrong@1", shadow_of("right@1"))),
        Rounds.of(np.outer(n, [1.0, 0.0]), np.ones((500, 2)), np.outer(n, np.ones(4)), n, 0 * n, NOON, used=0.0),
    )
    told = report(moments, PERMISSIVE)
    assert (told.experts, told.alarm, told.ratio) == (("wrong@1",), False, 0.0)
    assert (told.shadows, told.shadow_losses.tolist(), told.shadow_regret.tolist()) == (("right@1",), [0.0], [500.0])


def test_an_expert_that_begins_to_vote_goes_on_from_the_rounds_in_which_it_voted() -> None:
    voted = learned(random_rounds(5, 60))
    shadowed = with_a_shadow(random_rounds(6, 60, asleep=0.0), voted)
    again = align(shadowed, PANEL)
    np.testing.assert_array_equal(again.own[1], voted.own[1])


def test_the_shadow_figures_since_a_policy_change_leave_out_what_was_before() -> None:
    baseline = with_a_shadow(random_rounds(7, 30, asleep=0.0, span_s=0.0), zero(()))
    grown = with_a_shadow(random_rounds(8, 30, asleep=0.0, span_s=0.0), baseline)
    since, whole, before = (
        report(grown, PERMISSIVE, baseline=baseline),
        report(grown, PERMISSIVE),
        report(baseline, PERMISSIVE),
    )
    np.testing.assert_allclose(since.shadow_losses, whole.shadow_losses - before.shadow_losses)
    np.testing.assert_allclose(since.shadow_regret, whole.shadow_regret - before.shadow_regret)
