"""Votes are a maximum: no order, no repetition and no delay changes what they come to."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from ensemble import Vote, cast, majority

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
