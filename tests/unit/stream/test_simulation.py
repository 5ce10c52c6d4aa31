"""The ensemble on a stream that is over: every turn from the labels that had come, however they are batched."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from ensemble import DEFENSIVE, PERMISSIVE, Forecaster, Moments, Policy, Replay, Rounds, distance, fold, report, zero
from ensemble.thresholds import calibrate
from stream.simulation import UNLABELLED, Changes, Reading, Simulated, Turns, simulate
from support.rounds import PANEL, READINGS

CONTEXTS = ("acme/user", "globex/user", "acme/assistant")


def some(seed: int, count: int = 120, asleep: float = 0.3) -> tuple[Turns, Changes]:
    """Turns of three contexts and labels of most of them, late by up to 30 turns; of some the class changes once."""
    rng = np.random.default_rng(seed)
    shape = (count, len(PANEL))
    scores = rng.random(shape)
    awake = np.asarray(rng.random(shape) >= asleep)
    turns = Turns(
        PANEL, np.where(awake, scores, np.nan), awake, np.ones(shape, np.bool_),
        tuple(rng.choice(CONTEXTS, count).tolist()), np.sort(rng.random(count)) * 1e5,
    )  # fmt: skip
    changes: list[tuple[int, int, int, int]] = []
    for row in np.flatnonzero(rng.random(count) < 0.8).tolist():
        due = row + 1 + int(rng.integers(30))
        first, second = rng.permutation(3)[:2].tolist()
        changes.append((min(due, count), row, UNLABELLED, first))
        if rng.random() < 0.2:
            changes.append((min(due + int(rng.integers(20)), count), row, first, second))
    changes.sort(key=lambda change: change[0])
    dues, rows, before, after = (np.array(column) for column in zip(*changes, strict=True))
    q = 1.0 + rng.random(count)
    kinds = rows.astype(np.intp), before.astype(np.int8), after.astype(np.uint8), dues.astype(np.intp)
    return turns, Changes(*kinds, came=dues.astype(np.float64), q=q[rows])


def run(turns: Turns, changes: Changes, policy: Policy = PERMISSIVE, together: int = 1) -> Simulated:
    return simulate(turns, changes, [Reading(0, lambda context: policy)], together)


def end(said: Simulated, context: str) -> Moments:
    return said.phases[context][-1].kept[-1].moments


def only(turns: Turns, row: int) -> slice:
    return slice(row, row + 1)


BY_LABELS = Policy("by labels", (0.0, 0.0, 1.0), thresholds="rate", false_alarms=(0.5, 0.4))
"""Calibrated from a dozen labels on."""


@pytest.mark.parametrize("policy", [*READINGS, BY_LABELS], ids=lambda policy: policy.name)
def test_batched_it_says_what_one_turn_and_one_label_at_a_time_say(policy: Policy) -> None:
    turns, changes = some(1)
    said = run(turns, changes, policy)
    moments = dict.fromkeys(CONTEXTS, zero(PANEL))
    forecasts, used = np.full_like(said.forecasts, np.nan), np.zeros(len(turns))
    published, labels = np.full(len(turns), np.nan), list[int]()

    def learn(change: int) -> None:
        row = int(changes.row[change])
        for label, sign in ((changes.before[change], -1), (changes.after[change], 1)):
            if label != UNLABELLED:
                here = only(turns, row)
                one = Rounds.of(
                    turns.scores[here], turns.awake[here], forecasts[here], published[here], [label], turns.at[here],
                    used=used[here], q=changes.q[change], sign=sign,
                )  # fmt: skip
                moments[turns.context[row]] = fold(moments[turns.context[row]], one)

    come = 0
    for row, context in enumerate(turns.context):
        while come < len(changes) and changes.due[come] <= row:
            learn(come)
            come += 1
        forecaster = Forecaster.of(moments[context], policy, PANEL)
        forecast = forecaster.forecast(turns.scores[only(turns, row)], turns.awake[only(turns, row)])
        forecasts[row], published[row], used[row] = forecast.forecasts[0], forecast.published[0], forecaster.used
        labels.append(calibrate(moments[context], policy).applied(policy).decide(published[row]))
    assert said.labels.tolist() == labels
    for change in range(come, len(changes)):
        learn(change)
    np.testing.assert_allclose(said.forecasts, forecasts, atol=1e-9)
    np.testing.assert_allclose(said.published, published, atol=1e-9)
    np.testing.assert_allclose(said.used, used, atol=1e-9)
    for context in CONTEXTS:
        assert distance(end(said, context), moments[context]) < 1e-9


@pytest.mark.parametrize("seed", range(3))
def test_what_is_learned_is_what_the_oracle_sums(seed: int) -> None:
    turns, changes = some(seed)
    changes = replace(changes, q=np.ones(len(changes)))
    said, oracle = run(turns, changes), Replay()
    for row, context in enumerate(turns.context):
        oracle.scored(
            row, context, PANEL, turns.scores[row].tolist(), turns.awake[row].tolist(), said.forecasts[row].tolist(),
            said.published[row], turns.at[row], said.used[row],
        )  # fmt: skip
    for number, (row, label) in enumerate(zip(changes.row.tolist(), changes.after.tolist(), strict=True)):
        oracle.labelled(row, "ann", label, number)
    for context, moments in oracle.moments().items():
        assert distance(end(said, context), moments) < 1e-9


def test_no_label_is_known_before_it_comes() -> None:
    turns, changes = some(2)
    late = int(changes.due[60])
    other = replace(changes, after=np.where(np.arange(len(changes)) >= 60, 2 - changes.after, changes.after))
    one, two = run(turns, changes), run(turns, other)
    np.testing.assert_array_equal(one.published[:late], two.published[:late])
    assert not np.array_equal(one.published[late:], two.published[late:], equal_nan=True)


def test_a_policy_change_reads_the_same_sums_anew_and_equals_a_replay_under_the_new_policy_from_there() -> None:
    turns, changes = some(3, asleep=0.0)  # all awake: weights are exp(-eta loss), whatever was forecast
    old, new = run(turns, changes), run(turns, changes, DEFENSIVE)
    both = simulate(turns, changes, [Reading(0, lambda context: PERMISSIVE), Reading(50, lambda context: DEFENSIVE)])
    np.testing.assert_array_equal(both.published[:50], old.published[:50])
    np.testing.assert_allclose(both.forecasts[50:], new.forecasts[50:], atol=1e-9)
    assert np.abs(both.forecasts[50:] - old.forecasts[50:]).max() > 0.01


def test_regret_begins_anew_at_a_policy_change() -> None:
    turns, changes = some(4)
    both = simulate(turns, changes, [Reading(0, lambda context: PERMISSIVE), Reading(60, lambda context: DEFENSIVE)])
    for first, second in both.phases.values():
        assert second.baseline is first.kept[-1].moments
        told = [phase.report(phase.kept[-1]) for phase in (first, second)]
        assert second.report(second.kept[0]).rounds == 0
        assert told[0].rounds + told[1].rounds == second.kept[-1].moments.rounds
        assert told[1].loss == pytest.approx(
            report(second.kept[-1].moments, DEFENSIVE).loss - report(first.kept[-1].moments, DEFENSIVE).loss
        )
        assert not told[1].alarm


def test_labels_learned_together_change_when_they_are_read_and_not_what_the_experts_lost() -> None:
    turns, changes = some(5)
    one, many = run(turns, changes), run(turns, changes, together=7)
    for context in CONTEXTS:
        a, b = (said.phases[context][0].report(said.phases[context][0].kept[-1]) for said in (one, many))
        np.testing.assert_allclose(a.losses, b.losses, atol=1e-9)
        assert b.delay > a.delay
    assert (many.used <= one.used + 1e-9).all()


def test_the_moments_on_the_way_are_few_in_order_and_end_with_the_end() -> None:
    turns, changes = some(6, count=900)
    said = run(turns, changes)
    for (phase,) in said.phases.values():
        rounds = [kept.moments.rounds for kept in phase.kept]
        times = [kept.at for kept in phase.kept]
        assert rounds == sorted(rounds)
        assert times == sorted(times)
        assert rounds[0] == 0
        assert 50 < len(rounds) <= 210


def test_an_expert_that_a_context_never_asked_is_not_known_there() -> None:
    turns, changes = some(7)
    mine = np.array([context == "acme/user" for context in turns.context])
    panel, awake = turns.panel.copy(), turns.awake.copy()
    panel[mine, 0] = awake[mine, 0] = False
    said = run(replace(turns, panel=panel, awake=awake), changes)
    assert end(said, "acme/user").experts == PANEL[1:]
    assert end(said, "globex/user").experts == PANEL


def test_a_stream_without_turns_or_labels_teaches_nothing() -> None:
    turns, changes = some(8)
    none = Changes(*(getattr(changes, name)[:0] for name in ("row", "before", "after", "due", "came", "q")))
    said = run(turns, none)
    heard = turns.awake.any(axis=1)
    np.testing.assert_allclose(said.published[heard], np.nanmean(turns.scores[heard], axis=1), atol=1e-12)
    assert end(said, "acme/user").rounds == 0
