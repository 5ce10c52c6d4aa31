"""Which turns ask for a label, and why."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

import pytest

from ensemble.policy import PERMISSIVE, POLICIES
from stream.codecs import encode
from stream.console.review.candidates import Why, candidate_of, judge, key_of
from stream.records import Opinion, Source, Verdict

TOPIC = "aegis.turns.v1"


@dataclass
class Record:
    value: bytes | None
    partition: int = 3
    offset: int = 41
    timestamp: int = 1_767_225_600_000


def verdict(score: float | None, scores: tuple[float | None, ...], ask: bool = True, topic: str = TOPIC) -> Verdict:
    experts = tuple(
        Opinion(f"e{n}", "1", said, 0.5, "ok" if said is not None else "timeout") for n, said in enumerate(scores)
    )
    at = datetime(2026, 1, 1, tzinfo=UTC)
    source, context = Source(topic, 2, 17), "acme/user"
    return Verdict(
        "t", "c", "acme", "user", "safe", score, "permissive", {}, experts, context, 0, source, at, 3, {}, ask_label=ask
    )


@pytest.mark.parametrize(
    ("score", "scores", "why"),
    [
        (0.05, (0.02, 0.08), Why.SAMPLED),
        (0.95, (0.9, 1.0), Why.SAMPLED),
        (0.36, (0.3, 0.4), Why.UNCERTAIN),
        (0.58, (0.5, 0.6), Why.UNCERTAIN),
        (0.5, (0.1, 0.9), Why.DISAGREEING),
        (0.1, (0.0, 0.4), Why.DISAGREEING),
        (None, (None, None), Why.UNSCORED),
    ],
)
def test_why_is_told_from_score_thresholds_and_spread(
    score: float | None, scores: tuple[float | None, ...], why: Why
) -> None:
    found = candidate_of(Record(encode(verdict(score, scores))), TOPIC, POLICIES)
    assert found is not None
    assert found.why == why
    assert 0.0 <= found.doubt <= 1.0


def test_doubt_is_largest_where_nobody_could_score_and_smallest_where_all_are_sure() -> None:
    unscored, disagreeing, uncertain, sure = (
        judge(score, scores, PERMISSIVE)[0]
        for score, scores in ((None, []), (0.5, [0.1, 0.9]), (0.36, [0.3, 0.4]), (0.02, [0.01, 0.03]))
    )
    assert unscored > disagreeing > uncertain > sure


def test_a_candidate_is_a_reference_to_turn_and_verdict() -> None:
    found = candidate_of(Record(encode(verdict(0.5, (0.5,)))), TOPIC, POLICIES)
    assert found is not None
    assert found.key == key_of("acme", "t")
    assert (found.partition, found.offset, found.verdict_partition, found.verdict_offset) == (2, 17, 3, 41)
    assert found.source(TOPIC) == Source(TOPIC, 2, 17)


@pytest.mark.parametrize(
    "value",
    [
        None,
        b"",
        b"{}",
        b"no json",
        b"[" * 100_000,
        encode(verdict(0.5, (0.5,), ask=False)),
        encode(verdict(0.5, (0.5,), ask=False)).replace(b'"ask_label":', b'"ask_label": '),
        encode(verdict(0.5, (0.5,), topic="elsewhere")),
    ],
)
def test_what_asks_for_nothing_or_cannot_be_read_is_none(value: bytes | None) -> None:
    assert candidate_of(Record(value), TOPIC, POLICIES) is None


def test_turns_of_two_tenants_with_one_id_are_two() -> None:
    assert len({key_of("a", "bc"), key_of("ab", "c"), key_of("abc", ""), key_of("a", "b")}) == 4
