"""A policy is checked when it is made, and decides every score."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from ensemble import DEFENSIVE, PERMISSIVE, Policy, PolicyError


def test_a_score_at_a_threshold_is_decided_by_it() -> None:
    scores = [0.0, math.nextafter(0.35, 0.0), 0.35, math.nextafter(0.5, 0.0), 0.5, 1.0]
    assert [PERMISSIVE.decide(score) for score in scores] == [0, 0, 1, 1, 2, 2]
    assert PERMISSIVE.decide_many(np.array(scores)).tolist() == [0, 0, 1, 1, 2, 2]


@pytest.mark.parametrize(("fail", "decided"), [("closed", 2), ("open", 0)])
def test_a_turn_without_a_score_is_decided_by_how_the_policy_fails(fail: Any, decided: int) -> None:
    policy = replace(PERMISSIVE, fail=fail)
    assert policy.decide(math.nan) == decided
    many = policy.decide_many(np.array([math.nan, 0.4]))
    assert many.tolist() == [decided, 1]
    assert many.dtype == np.uint8


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"name": ""}, "has no name"),
        ({"targets": (0.0, 1.0)}, "three targets"),
        ({"targets": (0.0, 1.5, 1.0)}, "must lie in"),
        ({"targets": (0.0, math.nan, 1.0)}, "must lie in"),
        ({"costs": (1.0, 0.0, 1.0)}, "above 0"),
        ({"costs": (1.0, math.inf, 1.0)}, "finite"),
        ({"caution_at": 0.7, "unsafe_at": 0.6}, "thresholds"),
        ({"unsafe_at": math.nan}, "thresholds"),
        ({"loss": "hinge"}, "use one of brier, absolute, log, zero_one"),
        ({"loss": "absolute", "targets": (0.0, 0.5, 1.0)}, "targets of 0 or 1"),
        ({"loss": "zero_one", "targets": (0.0, 0.5, 1.0)}, "targets of 0 or 1"),
        ({"fail": "shut"}, "use one of closed, open"),
        ({"quorum": 0}, "quorum 0 must be a whole number from 1 to 16"),
        ({"quorum": 1.5}, "quorum 1.5 must be a whole number"),
        ({"others": -1.0}, "others"),
        ({"annotators": {"secret-name": math.nan}}, "weights of annotators must lie in"),
        ({"annotators": {"a": 1.0}, "others": 0.0, "quorum": 2}, "fewer annotators are named"),
        ({"forecaster": "oracle"}, "use one of exponential, mean, leader, squint, mlpol"),
        ({"thresholds": "guessed"}, "use one of fixed, rate, cost"),
        ({"ask": 0.001}, "0.01 <= ask"),
        ({"ask": 0.5, "ask_unsure": 0.2}, "<= ask_unsure"),
        ({"ask": math.nan}, "<= ask "),
        ({"unasked": -1.0}, "unasked .* must lie in"),
        ({"unasked_reported": 2.0}, "unasked_reported .* must lie in"),
        ({"false_alarms": (0.1,)}, "two rates"),
        ({"false_alarms": (0.1, 0.0)}, "two rates"),
    ],
)
def test_a_policy_that_contradicts_itself_is_refused_in_one_line(change: dict[str, Any], complaint: str) -> None:
    with pytest.raises(PolicyError, match=complaint) as refused:
        replace(PERMISSIVE, **change)
    assert "\n" not in str(refused.value)


def test_the_fingerprint_changes_with_the_reading_of_moments_and_with_nothing_else() -> None:
    same = replace(PERMISSIVE, name="other", caution_at=0.1, unsafe_at=0.2, fail="open", ask=0.1, thresholds="rate")
    assert same.fingerprint() == PERMISSIVE.fingerprint()
    others = [
        DEFENSIVE,
        replace(PERMISSIVE, costs=(1.0, 1.0, 2.0)),
        replace(PERMISSIVE, loss="absolute"),
        replace(PERMISSIVE, loss="log"),
        replace(PERMISSIVE, forecaster="squint"),
        replace(PERMISSIVE, forecaster="squint", ask=0.1),
        replace(PERMISSIVE, forecaster="mlpol"),
        replace(PERMISSIVE, forecaster="mlpol", ask=0.1),
        replace(PERMISSIVE, unasked=0.5),
    ]
    assert len({policy.fingerprint() for policy in [PERMISSIVE, *others]}) == 10


def test_the_fingerprint_is_the_same_in_every_process_and_version() -> None:
    assert Policy("any", targets=(0, 0, 1)).fingerprint() == PERMISSIVE.fingerprint() == "010f7716ef82fd2d"
