"""A verdict taken apart, without a broker."""

from __future__ import annotations

import math
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from msgspec.structs import replace as changed

from ensemble import Forecaster, zero
from ensemble.policy import DEFENSIVE, PERMISSIVE, Policy
from stream.errors import StateError
from stream.explain.finding import Backwards
from stream.explain.reckoning import clip_of, recomputed, shares, why
from stream.records import Opinion, Source, Verdict
from stream.state import pending_key, turn_of

LOG = replace(PERMISSIVE, name="log", loss="log")


def said(name: str, score: float | None, weight: float, status: Any = "ok") -> Opinion:
    return Opinion(name, "1", score, weight, status)


def verdict(score: float | None, label: Any, *experts: Opinion, policy: str = "permissive") -> Verdict:
    return Verdict(
        "t", "c", "acme", "user", label, score, policy, {}, experts, "acme/user", 3, Source("turns", 0, 0),
        datetime(2026, 1, 1, tzinfo=UTC), 5, {},
    )  # fmt: skip


MIXED = verdict(0.65, "unsafe", said("mild", 0.2, 0.25), said("severe", 0.8, 0.75), said("new", 0.9, 0.0, "shadow"))


def told(one: Verdict, policy: Policy | None) -> str:
    return why(one, policy, shares(one, clip_of(policy), {}, ["votes"] * len(one.experts), 0.0))


def test_a_score_that_is_not_what_advice_and_weights_give_is_told() -> None:
    assert recomputed(MIXED, 0.0).agrees
    forged = recomputed(changed(MIXED, score=0.6500002), 0.0)
    assert not forged.agrees
    assert forged.difference == pytest.approx(2e-7, abs=1e-8)


def test_under_the_log_loss_scores_are_mixed_as_they_are_clipped() -> None:
    clip, advice = clip_of(LOG), [[0.0, 1.0]]
    forecaster = Forecaster.of(zero(("a", "b")), LOG, ("a", "b"))
    forecast = forecaster.forecast(advice, forecaster.weights()[None, :] > 0.0)
    one = verdict(float(forecast.published[0]), "unsafe", said("a", 0.0, 0.5), said("b", 1.0, 0.5), policy="log")
    assert recomputed(one, clip).agrees
    assert shares(one, clip, {}, ["votes"] * 2, clip)[1].contribution == pytest.approx(clip / 2)


def test_a_shadow_carried_nothing_then_and_carries_its_part_once_it_votes() -> None:
    rows = shares(MIXED, 0.0, {"new@1": 0.5, "severe@1": 0.5}, ["not asked", "votes", "votes"], 0.0)
    assert [row.name for row in rows] == ["severe", "mild", "new"]
    assert [row.contribution for row in rows] == pytest.approx([0.6, 0.05, None])
    assert [row.contribution_now for row in rows] == pytest.approx([0.4, None, 0.45])


@pytest.mark.parametrize(
    ("score", "label", "policy", "sentence"),
    [
        (0.65, "unsafe", PERMISSIVE, "the score 0.6500 is at least 0.5, from which policy permissive says unsafe"),
        (
            0.4,
            "needs_caution",
            PERMISSIVE,
            "is at least 0.35 and below 0.5, where policy permissive says needs_caution",
        ),
        (0.2, "safe", PERMISSIVE, "is below 0.35, from which policy permissive says needs_caution"),
        (0.2, "unsafe", PERMISSIVE, "policy permissive as it is set now (0.35 and 0.5) would not say"),
        (0.2, "unsafe", None, "by policy permissive, which the settings here do not know"),
        (0.2, "unsafe", replace(PERMISSIVE, thresholds="rate"), "labels set the thresholds of policy permissive"),
    ],
)
def test_the_sentence_sets_the_score_against_the_thresholds(
    score: float, label: str, policy: Policy | None, sentence: str
) -> None:
    one = verdict(score, label, said("a", score, 1.0))
    assert sentence in told(one, policy)
    assert told(one, policy).endswith(f"; of it a {score:.4f} (100%)")


def test_the_sentence_names_those_who_carried_most_and_a_score_of_nothing() -> None:
    four = verdict(0.5, "unsafe", *(said(f"e{n}", 0.5, 0.25) for n in range(4)))
    assert told(four, PERMISSIVE).endswith("; of it e0 0.1250 (25%), e1 0.1250 (25%), e2 0.1250 (25%) and 1 more")
    assert told(verdict(0.0, "safe", said("a", 0.0, 1.0)), PERMISSIVE).endswith("; nobody saw anything in it: a")


@pytest.mark.parametrize(("policy", "how"), [(PERMISSIVE, "fails closed"), (replace(DEFENSIVE, fail="open"), "open")])
def test_where_nobody_was_awake_the_policy_says_what_is_done(policy: Policy, how: str) -> None:
    label = ("safe", "needs_caution", "unsafe")[policy.decide(math.nan)]
    asleep = verdict(None, label, said("a", None, 0.0, "timeout"), said("b", 0.9, 0.0, "shadow"))
    assert told(asleep, policy).endswith(f"{how}: {label}")
    assert "a: timeout" in told(asleep, policy)
    assert recomputed(asleep, 0.0).agrees


def test_a_search_reads_every_record_once_from_the_end_in_longer_and_longer_steps() -> None:
    spans, back, read = {0: (5, 100_000), 1: (0, 0), 2: (7, 12)}, Backwards(), dict[int, list[int]]()
    steps = 0
    while not back.over:
        steps += 1
        for partition, (start, end) in back.narrow(spans).items():
            read.setdefault(partition, []).extend(range(start, end))
    assert {partition: sorted(offsets) for partition, offsets in read.items()} == {
        partition: list(range(*span)) for partition, span in spans.items()
    }
    assert steps == 4  # 10, 20, 40 and 80 thousand
    both = [Backwards(only=[2]), Backwards(never=[2])]
    assert sorted(p for one in both for p in one.narrow(spans)) == [0, 1, 2]


def test_a_state_key_tells_its_turn() -> None:
    assert turn_of(pending_key("ténant", "t/1:ü")) == ("ténant", "t/1:ü")
    with pytest.raises(StateError):
        turn_of(b"p\x00")
