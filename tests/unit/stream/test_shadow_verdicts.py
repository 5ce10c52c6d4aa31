"""A shadow in a decision: told and stored, without a say; and learned about under its own name."""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ensemble import PERMISSIVE, Forecaster, fold, shadow_of, zero
from ensemble.moments import Moments
from experts.base import ABSTAINED, OK, SHADOW, STATUS_NAMES, TIMEOUT, Advice
from stream import state
from stream.labels import Change, learn, rows_of, vote
from stream.records import Turn
from stream.state import Pending
from stream.verdicts import Arrival, decide, verdict
from support.rounds import random_rounds

PANEL = ("a@1", "b@1", "c@1")
UNSAFE = 2
TURN = Turn("t1", "c1", "user", "Hello", datetime(2026, 1, 1, tzinfo=UTC))
MOMENTS = fold(zero(PANEL), random_rounds(4, 50, experts=3))


def decided(
    scores: list[float],
    status: list[int],
    voters: tuple[str, ...],
    experts: tuple[str, ...] = PANEL,
    moments: Moments = MOMENTS,
) -> Pending:
    """One turn, decided by these voters among the experts."""
    advice = Advice(np.array([scores], np.float32), np.array([status], np.uint8))
    arrival = Arrival(TURN, 0, 7, 0, state.digest(TURN.role, TURN.text))
    forecaster = Forecaster.of(moments, PERMISSIVE, voters)
    (pending,) = decide([arrival], [0], advice, experts, forecaster, PERMISSIVE, 1000)
    return pending


def test_a_status_for_shadows_stands_behind_those_that_were_written_before() -> None:
    assert STATUS_NAMES == ("ok", "timeout", "error", "abstained", "shadow")
    assert STATUS_NAMES[SHADOW] == "shadow"


@given(st.lists(st.floats(0, 1, width=32), min_size=3, max_size=3), st.sampled_from([OK, TIMEOUT, ABSTAINED]))
def test_a_decision_is_the_same_to_the_last_bit_without_the_shadow(scores: list[float], other: int) -> None:
    first = scores[0] if other == OK else float("nan")
    beside = decided([first, *scores[1:]], [other, OK, OK], ("a@1", "c@1"))
    alone = decided([first, scores[2]], [other, OK], ("a@1", "c@1"), experts=("a@1", "c@1"))
    for name in ("label", "published", "forecasts", "rounds", "used", "categories"):
        assert getattr(beside, name) == getattr(alone, name), name
    assert list(beside.status) == [other, SHADOW, OK]
    weights = np.frombuffer(beside.weights, "<f4")
    np.testing.assert_array_equal(weights[[0, 2]], np.frombuffer(alone.weights, "<f4"))
    assert weights[1] == 0.0


def test_a_verdict_tells_what_a_shadow_said_and_that_it_had_no_vote() -> None:
    pending = decided([0.25, 0.75, 0.5], [OK, OK, OK], ("a@1", "c@1"))
    told = verdict(TURN, pending, "turns")
    assert [(o.name, o.status) for o in told.experts] == [("a", "ok"), ("b", "shadow"), ("c", "ok")]
    assert (told.experts[1].score, told.experts[1].weight) == (0.75, 0.0)
    assert sum(o.weight for o in told.experts) == pytest.approx(1.0)


def test_a_shadow_that_sleeps_is_told_as_any_sleeper() -> None:
    pending = decided([0.25, float("nan"), 0.5], [OK, TIMEOUT, OK], ("a@1", "c@1"))
    assert verdict(TURN, pending, "turns").experts[1].status == "timeout"
    assert rows_of(pending) == list(PANEL)


def test_with_every_voter_asleep_the_policy_decides_whatever_a_shadow_says() -> None:
    pending = decided([float("nan"), 0.0, float("nan")], [TIMEOUT, OK, ABSTAINED], ("a@1", "c@1"))
    assert (pending.label, pending.published) == (UNSAFE, None)
    assert list(pending.status) == [TIMEOUT, SHADOW, ABSTAINED]
    voted = vote(pending, "ann", UNSAFE, 1)
    assert voted is not None
    learned = learn(zero(()), [Change(voted[0], None, UNSAFE)])
    assert (learned.rounds, float(np.abs(learned.expert).sum())) == (0, 0.0)


def test_a_label_teaches_about_a_shadow_under_its_own_name_and_a_correction_takes_it_back() -> None:
    pending = decided([0.25, 0.75, 0.5], [OK, OK, OK], ("a@1", "c@1"))
    assert rows_of(pending) == ["a@1", shadow_of("b@1"), "c@1"]
    learned = learn(MOMENTS, [Change(pending, None, UNSAFE)])
    assert learned.experts == ("a@1", "b@1", shadow_of("b@1"), "c@1")
    row, own = learned.experts.index(shadow_of("b@1")), learned.experts.index("b@1")
    assert learned.own[row, UNSAFE, :2].tolist() == [1.0, 0.75]
    np.testing.assert_array_equal(learned.own[own], MOMENTS.own[PANEL.index("b@1")])
    corrected = learn(learned, [Change(pending, UNSAFE, 0)])
    assert corrected.own[row, :, 0].tolist() == [1.0, 0.0, 0.0]
