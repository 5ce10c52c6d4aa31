"""Sums do not know the order, the partition or the history of what was added."""

from __future__ import annotations

from dataclasses import replace
from math import inf

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ensemble import (
    AdviceError,
    MomentsMismatchError,
    Rounds,
    align,
    distance,
    fold,
    merge,
    rescale,
    subtract,
    total,
    zero,
)
from ensemble.moments import SUMS
from ensemble.sums import TOGETHER
from support.rounds import NOON, PANEL, RTOL, learned, random_rounds, whole_rounds

seeds = st.integers(0, 2**32 - 1)


def shuffled(seed: int, count: int) -> list[np.ndarray[tuple[int], np.dtype[np.intp]]]:
    """A random partition of range(count), each part in random order."""
    rng = np.random.default_rng(seed)
    cuts = np.sort(rng.integers(0, count + 1, 3))
    return np.split(rng.permutation(count), cuts)


@given(seeds, seeds, st.integers(1, 60))
@settings(max_examples=60)
def test_any_order_and_batching_of_the_labels_gives_the_same_moments(seed: int, order: int, count: int) -> None:
    rounds = random_rounds(seed, count)
    moments = zero(PANEL)
    for part in shuffled(order, count):
        moments = fold(moments, rounds.select(part))
    assert distance(moments, learned(rounds)) < RTOL
    assert moments.rounds == learned(rounds).rounds


@given(seeds, seeds, st.integers(1, 60))
@settings(max_examples=60)
def test_moments_of_partitions_add_up_to_the_moments_of_the_whole_in_any_grouping(
    seed: int, order: int, count: int
) -> None:
    rounds = random_rounds(seed, count)
    a, b, c, d = (learned(rounds.select(part)) for part in shuffled(order, count))
    whole = learned(rounds)
    assert distance(merge(merge(a, b), merge(c, d)), whole) < RTOL
    assert distance(total([d, zero(PANEL), c, b, a]), whole) < RTOL
    assert distance(total([zero(()), a, b, c, d]), whole) < RTOL


@pytest.mark.parametrize("asleep", [0.0, 0.3])
def test_a_batch_larger_than_what_is_summed_at_a_time_is_the_sum_of_its_parts(asleep: float) -> None:
    rounds = random_rounds(6, 3 * TOGETHER + 7, asleep=asleep)
    parts = [learned(rounds.select(slice(start, start + 50))) for start in range(0, len(rounds), 50)]
    assert distance(learned(rounds), total(parts)) < RTOL


@given(seeds, st.integers(1, 40))
@settings(max_examples=30)
def test_rounds_with_everybody_awake_add_the_same_beside_one_with_a_sleeper_and_alone(seed: int, count: int) -> None:
    whole, one = random_rounds(seed, count, asleep=0.0), random_rounds(seed + 1, 1, asleep=0.0)
    sleeper = replace(one, awake=np.array([[True, False, True, True, True]]), label=whole.label[:1])
    together = Rounds(
        *(np.concatenate([getattr(whole, name), getattr(sleeper, name)]) for name in whole.__dataclass_fields__)
    )
    assert distance(learned(together), merge(learned(whole), learned(sleeper))) < RTOL


@given(seeds, seeds)
@settings(max_examples=30)
def test_integer_counts_are_exact_in_any_order(seed: int, order: int) -> None:
    rounds = whole_rounds(seed, 80)
    moments = zero(PANEL)
    for part in shuffled(order, 80):
        moments = merge(learned(rounds.select(part)), moments)
    whole = learned(rounds)
    logs = {"squared": slice(4, 7), "importance": slice(0), "histogram": slice(0)}
    for name in SUMS[3:]:
        left, right = np.array(getattr(moments, name)), np.array(getattr(whole, name))
        left[..., logs.get(name, slice(3, 5))] = right[..., logs.get(name, slice(3, 5))] = 0.0
        assert np.array_equal(left, right)
    assert (moments.rounds, moments.used, moments.squares) == (whole.rounds, whole.used, whole.squares)


@given(seeds, st.integers(1, 40))
@settings(max_examples=60)
def test_a_corrected_label_leaves_what_the_right_label_would_have_left(seed: int, count: int) -> None:
    rounds = random_rounds(seed, count)
    rng = np.random.default_rng(seed + 1)
    wrong = replace(rounds, label=rng.integers(0, 3, count).astype(np.uint8))
    taken_back = replace(wrong, sign=np.full(count, -1, np.int8))
    moments = learned(wrong)
    for part in shuffled(seed, count):
        moments = fold(fold(moments, taken_back.select(part)), rounds.select(part))
    assert distance(moments, learned(rounds)) < RTOL * count
    assert moments.rounds == learned(rounds).rounds
    assert moments.delay == pytest.approx(learned(rounds).delay, rel=RTOL, abs=1e-6)


def test_a_correction_inside_one_batch_changes_neither_the_count_nor_the_delay() -> None:
    rounds = random_rounds(3, 20, sampled=False)
    one = rounds.select(np.array([0, 0]))
    both = replace(one, label=np.array([0, 2], np.uint8), sign=np.array([-1, 1], np.int8))
    before = learned(rounds)
    after = fold(before, both)
    assert (after.rounds, after.used, after.squares, after.counted) == (
        before.rounds,
        before.used,
        before.squares,
        before.counted,
    )


def test_rounds_in_which_nobody_was_awake_contribute_nothing() -> None:
    rounds = random_rounds(5, 12, asleep=1.0)
    assert not rounds.awake.any()
    moments = learned(rounds)
    assert moments.rounds == 0
    assert moments.at == -inf
    assert all(not np.any(getattr(moments, name)) for name in SUMS)


def test_a_sum_decays_by_half_in_a_half_life_of_the_turns_own_time() -> None:
    half_lives = (inf, 100.0)
    one = [[1.0]], [[True]], [[1.0, 1.0]], [1.0], [2]
    early = fold(zero(["a@1"], half_lives), Rounds.of(*one, scored_at=NOON, used=0))
    late = fold(early, Rounds.of(*one, scored_at=NOON + 300.0, used=0))
    assert late.expert[:, 0, 2, 0].tolist() == [2.0, 1.125]
    assert late.forecast[:, 0, 2, 0].tolist() == [2.0, 1.125]
    assert late.hedge[:, 2, 0].tolist() == [2.0, 2.0]
    assert late.at == NOON + 300.0


def test_rescaling_there_and_back_changes_nothing() -> None:
    moments = learned(random_rounds(8, 30))
    there = rescale(moments, moments.at + 7200.0)
    assert there.expert[3, 0, 0, 0] == pytest.approx(moments.expert[3, 0, 0, 0] / 4.0)
    assert distance(rescale(there, moments.at), moments) < RTOL


def test_experts_are_added_by_name_whatever_their_order() -> None:
    rounds = random_rounds(11, 40)
    order = [3, 1, 4, 0, 2]
    renamed = tuple(PANEL[index] for index in order)
    reordered = replace(rounds, scores=rounds.scores[:, order], awake=rounds.awake[:, order])
    both = merge(learned(rounds), learned(reordered, renamed))
    assert both.experts == tuple(sorted(PANEL))
    assert distance(both, merge(learned(rounds), learned(rounds))) < RTOL


def test_a_newcomer_starts_at_zero_and_a_retired_expert_is_left_out() -> None:
    moments = learned(random_rounds(12, 40))
    panel = ("semantic@3", "newcomer@1", "bayes@1")
    aligned = align(moments, panel)
    assert aligned.experts == panel
    assert np.array_equal(aligned.expert[:, 0], moments.expert[:, PANEL.index("semantic@3")])
    assert np.array_equal(aligned.published[2], moments.published[PANEL.index("bayes@1")])
    assert not aligned.expert[:, 1].any()
    assert np.array_equal(aligned.total, moments.total)
    assert aligned.rounds == moments.rounds


def test_what_came_after_a_baseline_is_what_was_folded_after_it() -> None:
    first, second = random_rounds(20, 50), random_rounds(21, 30)
    baseline = learned(first)
    since = subtract(fold(baseline, second), baseline)
    assert distance(since, learned(second)) < 1e-10
    assert since.rounds == learned(second).rounds


@given(seeds, st.integers(1, 80))
@settings(max_examples=40)
def test_the_delay_is_the_number_of_labels_that_forecasts_missed(seed: int, count: int) -> None:
    rng = np.random.default_rng(seed)
    missed = np.array([rng.integers(0, k + 1) for k in range(count)])
    rounds = replace(
        random_rounds(seed, count, asleep=0.0, sampled=False), used=np.arange(count) - missed.astype(float)
    )
    assert learned(rounds.select(rng.permutation(count))).delay == missed.sum()


def test_the_weighted_delay_pairs_every_round_with_those_it_missed() -> None:
    rounds = random_rounds(31, 25, asleep=0.0)
    before = np.concatenate([[0.0], np.cumsum(rounds.q)[:-1]])
    read = before * np.random.default_rng(1).random(25)
    expected = float((rounds.q * (before - read)).sum())
    assert learned(replace(rounds, used=read)).delay == pytest.approx(expected)


def test_moments_under_other_half_lives_have_no_sum() -> None:
    with pytest.raises(MomentsMismatchError, match="keep the half-lives"):
        merge(zero(PANEL), zero(PANEL, (inf, 60.0)))


def test_stored_arrays_cannot_be_written() -> None:
    moments = learned(random_rounds(1, 5))
    with pytest.raises(ValueError, match="read-only"):
        moments.expert[0, 0, 0, 0] = 1.0


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"scores": np.full((4, 5), 1.5)}, "scores must lie in"),
        ({"scores": np.full((4, 5), np.nan)}, "scores must lie in"),
        ({"published": np.array([0.1, 0.2, np.nan, 0.3])}, "published must lie in"),
        ({"forecasts": np.full((4, 4), -0.1)}, "forecasts must lie in"),
        ({"forecasts": np.zeros(4)}, r"must be \[N, H\]"),
        ({"label": np.array([0, 1, 2, 3], np.uint8)}, "class index below 3"),
        ({"q": np.array([1.0, 1.0, 0.5, 1.0])}, "at least 1"),
        ({"used": np.array([0.0, -1.0, 0.0, 0.0])}, "not negative"),
        ({"sign": np.array([1, 0, 1, 1], np.int8)}, "sign must be"),
        ({"scored_at": np.array([NOON, inf, NOON, NOON])}, "finite unix seconds"),
        ({"awake": np.ones((4, 3), np.bool_)}, r"must both be \[N, K\]"),
        ({"published": np.zeros(3)}, "published has shape"),
    ],
)
def test_rounds_that_cannot_be_are_refused_with_their_reason(change: dict[str, object], complaint: str) -> None:
    rounds = random_rounds(2, 4, asleep=0.0)
    with pytest.raises(AdviceError, match=complaint):
        replace(rounds, **change)  # type: ignore[arg-type]


def test_rounds_of_another_panel_are_refused() -> None:
    with pytest.raises(AdviceError, match="align the moments first"):
        fold(zero(("a@1",)), random_rounds(1, 3))


def test_moments_refuse_a_name_twice_and_half_lives_out_of_order() -> None:
    with pytest.raises(AdviceError, match="name one twice"):
        zero(("a@1", "a@1"))
    with pytest.raises(AdviceError, match="infinity first"):
        zero(("a@1",), (60.0, 30.0))


def test_the_sum_of_records_of_no_rounds_has_none() -> None:
    nothing = total([zero(PANEL), zero(()), zero(PANEL[:2])])
    assert (nothing.experts, nothing.rounds, nothing.at) == (PANEL, 0, -inf)
    assert not nothing.expert.any()
    assert total([]).experts == ()


@given(st.lists(seeds, min_size=2, max_size=6))
@settings(max_examples=30)
def test_many_records_at_once_have_the_sum_that_they_have_one_after_the_other(found: list[int]) -> None:
    records = [learned(random_rounds(seed, seed % 7, 1 + seed % 5), PANEL[: 1 + seed % 5]) for seed in found]
    one_by_one = records[0]
    for record in records[1:]:
        one_by_one = merge(one_by_one, record)
    assert distance(total(records), one_by_one) < RTOL
    again = total(records)
    assert all(np.array_equal(getattr(again, name), getattr(total(records), name)) for name in SUMS)
