import numpy as np
import pytest

from experts.base import Passage
from experts.fakes import InstantExpert, hashed_score


def test_a_hashed_score_is_the_same_in_every_process() -> None:
    assert hashed_score(Passage("user", "hello")) == pytest.approx(0.5334742, abs=1e-6)


def test_a_hashed_score_does_not_read_the_history() -> None:
    assert hashed_score(Passage("user", "hello", (("user", "before"),))) == hashed_score(Passage("user", "hello"))


def test_role_text_and_salt_each_change_the_score() -> None:
    scores = {
        hashed_score(Passage("user", "hello")),
        hashed_score(Passage("assistant", "hello")),
        hashed_score(Passage("user", "hello!")),
        hashed_score(Passage("user", "hello"), salt=1),
    }
    assert len(scores) == 4


def test_scores_spread_over_the_whole_range() -> None:
    scores = InstantExpert().advise([Passage("user", f"text {number}") for number in range(2000)])
    assert np.histogram(scores, 4, (0, 1))[0].min() > 400


def test_text_that_is_no_valid_unicode_has_a_score_too() -> None:
    assert 0 <= hashed_score(Passage("user", "\ud800")) < 1
