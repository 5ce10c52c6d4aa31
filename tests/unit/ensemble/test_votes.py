"""Votes are a maximum: no order, no repetition and no delay changes what they come to."""

from __future__ import annotations

from itertools import permutations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from ensemble import Limits, Vote, cast, majority
from ensemble.votes import MOST_KEPT, newest

ballots = st.lists(
    st.tuples(st.sampled_from(["ann", "bo", "cy"]), st.integers(0, 2), st.integers(0, 4)), min_size=1, max_size=12
)


def counted(cast_ballots: list[tuple[str, int, int]]) -> dict[str, Vote]:
    votes: dict[str, Vote] = {}
    for annotator, label, at_ms in cast_ballots:
        votes = cast(votes, annotator, label, at_ms) or votes
    return votes


@given(ballots, st.integers(0, 2**32 - 1))
def test_any_order_and_any_repetition_gives_the_same_votes(
    given_ballots: list[tuple[str, int, int]], seed: int
) -> None:
    again = given_ballots + given_ballots[: len(given_ballots) // 2]
    shuffled = [again[index] for index in np.random.default_rng(seed).permutation(len(again))]
    assert counted(shuffled) == counted(given_ballots)


@given(ballots)
def test_a_vote_that_was_counted_changes_nothing_when_it_comes_again(given_ballots: list[tuple[str, int, int]]) -> None:
    votes = counted(given_ballots)
    assert all(cast(votes, *ballot) is None for ballot in given_ballots)


def test_the_newest_vote_of_an_annotator_wins() -> None:
    votes = {"ann": Vote(2, 10)}
    assert cast(votes, "ann", 0, 11) == {"ann": Vote(0, 11)}
    assert cast(votes, "ann", 0, 9) is None
    assert votes == {"ann": Vote(2, 10)}


def test_of_two_votes_of_one_instant_the_more_severe_wins() -> None:
    assert cast({"ann": Vote(1, 10)}, "ann", 2, 10) == {"ann": Vote(2, 10)}
    assert cast({"ann": Vote(1, 10)}, "ann", 0, 10) is None


def test_the_class_with_most_annotators_is_the_label_and_a_tie_goes_to_the_more_severe() -> None:
    assert majority({}) is None
    assert majority({"ann": Vote(0, 1), "bo": Vote(0, 2), "cy": Vote(2, 3)}) == 0
    assert majority({"ann": Vote(0, 1), "bo": Vote(1, 2)}) == 1
    assert majority({"ann": Vote(0, 1), "bo": Vote(1, 2), "cy": Vote(2, 3)}) == 2


@given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 9)), min_size=1, max_size=12), st.integers(0, 2**32 - 1))
def test_which_votes_of_an_annotator_are_kept_depends_on_no_order(said: list[tuple[int, int]], seed: int) -> None:
    votes = [Vote(*each) for each in said]
    kept: tuple[Vote, ...] = ()
    for index in np.random.default_rng(seed).permutation(2 * len(votes)):
        kept = newest((*kept, votes[index % len(votes)]))
    assert kept == newest(votes)
    assert len(kept) == min(MOST_KEPT, len(set(votes)))
    assert kept[0] == max(votes, key=lambda vote: (vote.at_ms, vote.label))


@given(st.dictionaries(st.sampled_from("abcdefgh"), st.tuples(st.integers(0, 2), st.just(0)), max_size=8))
def test_without_limits_the_majority_is_learned(said: dict[str, tuple[int, int]]) -> None:
    votes = {name: Vote(*each) for name, each in said.items()}
    assert Limits().decide(votes) == majority(votes)
    assert Limits(weights={"a": 1.0}).decide(votes) == majority(votes)


def test_below_a_quorum_nothing_is_learned_and_who_weighs_nothing_is_not_counted() -> None:
    votes = {"ann": Vote(2, 1), "bo": Vote(2, 1), "cy": Vote(0, 1)}
    assert Limits(quorum=3).decide(votes) == 2
    assert Limits(quorum=4).decide(votes) is None
    assert Limits(quorum=3, weights={"bo": 0.0}).decide(votes) is None
    assert Limits(others=0.0).decide(votes) is None
    assert Limits(weights={"cy": 2.5}).decide(votes) == 0


def test_a_tie_of_weights_is_one_in_whatever_order_they_are_added() -> None:
    weights = {"a": 0.1, "b": 0.2, "c": 0.3, "d": 0.3, "e": 0.2, "f": 0.1}
    for names in permutations("abc"):
        votes = {name: Vote(2, 0) for name in names} | {name: Vote(0, 0) for name in "def"}
        assert Limits(weights=weights).decide(votes) == 2
