"""Messages that cannot be used, or that say something twice: each has its reason or its rule, and none stops the
worker."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from stream import dead_letters, state
from stream.codecs import MAX_LABEL_BYTES, MAX_METADATA_BYTES
from stream.labels import MOST_ANNOTATORS
from stream.routing import FIRST, STAMP, TRIED, TRIES
from stream.topics import BROKER_MESSAGE_BYTES
from support.flow import Flow, flowing, label, record_of, turn, unique, votes_of
from support.kafka import Record

HORIZON_SECONDS = 2.0
SAFE, NEEDS_CAUTION, UNSAFE = range(3)


@pytest.fixture(scope="module")
def flow(broker: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Flow]:
    with flowing(broker, tmp_path_factory.mktemp("bad"), label_horizon=HORIZON_SECONDS, store="memory") as flow:
        yield flow


def as_json(message: Any, **fields: Any) -> dict[str, Any]:
    """A message as a client's own JSON library writes it, with some fields changed."""
    decoded: dict[str, Any] = json.loads(record_of(message).value or b"")
    return {**decoded, **fields}


def without(message: Any, name: str) -> dict[str, Any]:
    return {key: value for key, value in as_json(message).items() if key != name}


UNUSABLE = {
    "not_json": b'{"turn_id": "t1", ',
    "not_utf8": b'{"turn_id": "\xff\xfe", "text": "\xe9t\xe9"}',
    "empty": None,
    "missing_field": json.dumps(without(turn("t1"), "conversation_id")).encode(),
    "wrong_type": json.dumps(as_json(turn("t1"), conversation_id=17)).encode(),
    "out_of_range": json.dumps(as_json(turn("t1"), turn_id="")).encode(),
}


@pytest.mark.parametrize("topic", ["turns", "labels"])
@pytest.mark.parametrize("reason", UNUSABLE)
async def test_a_message_that_cannot_be_used_is_set_aside_with_its_reason_and_its_bytes(
    flow: Flow, topic: str, reason: str
) -> None:
    bad = Record(UNUSABLE[reason], b"\xffkey", headers=[("trace", b"\x00\x01")], partition=2)
    (source,) = await flow.send(getattr(flow.names, topic), bad)
    letter = await flow.letter(source)
    assert letter.reason == reason
    assert (letter.record.key, letter.record.value) == (bad.key, bad.value)
    assert letter.record.headers[0] == ("trace", b"\x00\x01")
    assert dict(letter.record.headers)[dead_letters.TOPIC] == source.topic.encode()


async def test_turns_behind_a_message_that_cannot_be_used_are_scored(flow: Flow) -> None:
    good = turn(unique("behind"))
    await flow.send(flow.names.turns, Record(b"{", partition=1), replace(record_of(good), partition=1))
    (verdict,) = await flow.verdicts(good.turn_id)
    assert verdict.source.partition == 1


async def test_a_missing_field_is_named_and_no_value_is_quoted(flow: Flow) -> None:
    wrong = as_json(label("t1"), label="a secret")
    missing, enum = await flow.send(
        flow.names.labels,
        Record(json.dumps(without(label("t1"), "annotator")).encode()),
        Record(json.dumps(wrong).encode()),
    )
    assert "annotator" in (await flow.letter(missing)).detail
    letter = await flow.letter(enum)
    assert (letter.reason, "$.label" in letter.detail, "secret" in letter.detail) == ("wrong_type", True, False)


async def test_an_empty_id_of_a_label_is_out_of_range(flow: Flow) -> None:
    (source,) = await flow.send(flow.names.labels, Record(json.dumps(as_json(label("t1"), annotator="")).encode()))
    assert (await flow.letter(source)).reason == "out_of_range"


async def test_a_text_as_large_as_the_broker_takes_is_set_aside_untouched(flow: Flow) -> None:
    whole = as_json(turn(unique("large"), ""))
    room = BROKER_MESSAGE_BYTES - 120 - len(json.dumps(whole))
    value = json.dumps({**whole, "text": "x" * room}).encode()
    (source,) = await flow.send(flow.names.turns, Record(value, b"large"))
    letter = await flow.letter(source)
    assert (letter.reason, letter.record.value == value) == ("text_too_large", True)
    assert "AEGIS_MAX_TEXT_BYTES" in letter.detail


async def test_a_text_as_large_as_the_setting_allows_is_scored(flow: Flow) -> None:
    fits = turn(unique("fits"), "é" * (flow.settings.max_text_bytes // 2))
    over = turn(unique("over"), "é" * (flow.settings.max_text_bytes // 2) + "x")
    _, source = await flow.turns(fits, over)
    await flow.verdicts(fits.turn_id)
    assert (await flow.letter(source)).reason == "text_too_large"


async def test_metadata_and_labels_larger_than_what_they_cause_can_hold_are_set_aside(flow: Flow) -> None:
    (source,) = await flow.turns(turn(unique("metadata"), metadata={"k": "\x00" * MAX_METADATA_BYTES}))
    assert (await flow.letter(source)).reason == "metadata_too_large"
    fits = turn(unique("metadata"), metadata={"k": "\x00" * (MAX_METADATA_BYTES - 1)})
    await flow.turns(fits)
    await flow.verdicts(fits.turn_id)
    (source,) = await flow.labels(label(fits.turn_id, categories=("x" * MAX_LABEL_BYTES,)))
    assert (await flow.letter(source)).reason == "label_too_large"


HOSTILE: dict[str, bytes] = {
    "a lone surrogate": json.dumps(as_json(turn("t1"), text="\ud800")).encode(),
    "a byte order mark": b"\xef\xbb\xbf" + json.dumps(as_json(turn("t1"))).encode(),
    "nesting without end": b'{"a":' * 100_000,
    "a time without a zone": json.dumps(as_json(turn("t1"), sent_at="2026-01-01T00:00:00")).encode(),
    "another array": b"[]",
    "null": b"null",
    "a number for a time": json.dumps(as_json(turn("t1"), sent_at=1)).encode(),
}


@pytest.mark.parametrize("what", HOSTILE)
async def test_a_hostile_turn_is_set_aside(flow: Flow, what: str) -> None:
    (source,) = await flow.send(flow.names.turns, Record(HOSTILE[what], b"\xff" * 1000))
    assert (await flow.letter(source)).reason in {"not_json", "wrong_type"}


async def test_a_label_with_hostile_headers_no_key_and_an_impossible_source_is_learned(flow: Flow) -> None:
    name = unique("headers")
    await flow.turns(turn(name))
    (verdict,) = await flow.verdicts(name)
    elsewhere = (verdict.source.partition + 1) % flow.settings.partitions
    source = {"topic": "x", "partition": 10**30, "offset": 0}
    value = json.dumps(as_json(label(name), source=source, labelled_at="0001-01-01T00:00:00+14:00")).encode()
    headers = [(TRIED, b"\xff,999999999999999"), (TRIES, b"9" * 15), (STAMP, b"9" * 15), (FIRST, b"soon")]
    await flow.send(flow.names.labels, Record(value, None, headers, partition=elsewhere))
    await flow.pending(name, lambda pending: votes_of(pending) == {"ann": UNSAFE})


async def test_a_turn_id_used_again_with_another_text_is_set_aside_and_the_first_decision_stands(flow: Flow) -> None:
    first = turn(unique("reused"), "one text")
    await flow.turns(first)
    (before,) = await flow.verdicts(first.turn_id)
    (source,) = await flow.turns(turn(first.turn_id, "another text"))
    assert (await flow.letter(source)).reason == "turn_id_reused"
    assert await flow.verdicts(first.turn_id) == [before]


async def test_a_turn_id_used_again_in_the_same_batch_with_another_role_is_set_aside(flow: Flow) -> None:
    name = unique("twice")
    _, source = await flow.turns(turn(name), turn(name, role="assistant"))
    assert (await flow.letter(source)).reason == "turn_id_reused"


async def test_a_turn_sent_again_has_its_verdict_published_again_bit_for_bit(flow: Flow) -> None:
    same = turn(unique("again"))
    await flow.turns(same)
    await flow.verdicts(same.turn_id)
    await flow.turns(same)

    def twice(records: list[Any]) -> bool:
        return sum(same.turn_id.encode() in record.value for record in records) == 2

    records = [r.value for r in await flow.until(flow.names.verdicts, twice) if same.turn_id.encode() in r.value]
    assert records[0] == records[1]


async def test_a_label_for_no_turn_waits_as_early_and_is_given_up_at_the_horizon(flow: Flow) -> None:
    lonely = label(unique("nowhere"))
    await flow.labels(lonely)
    key = state.early_key("default", lonely.turn_id, lonely.annotator)
    kept = await flow.until(flow.names.changelog, lambda records: any(r.key == key for r in records))
    early = state.decode_early(next(r.value for r in kept if r.key == key))
    assert early.value == record_of(lonely).value

    def given_up(records: list[Any]) -> bool:
        return any(record.value == early.value for record in records)

    letters = await flow.until(flow.names.dead_letters, given_up)
    headers = dict(next(r for r in letters if r.value == early.value).headers)
    assert headers[dead_letters.REASON] == b"turn_not_found"
    assert "AEGIS_LABEL_HORIZON" in headers[dead_letters.DETAIL].decode()
    await flow.until(flow.names.changelog, lambda records: [r.value for r in records if r.key == key][-1:] == [None])


async def test_a_label_sent_twice_is_one_vote(flow: Flow) -> None:
    scored, other = turn(unique("once")), turn(unique("marker"), conversation_id="once")
    said = label(scored.turn_id, conversation_id="once")
    await flow.turns(turn(scored.turn_id, conversation_id="once"), other)
    await flow.verdicts(scored.turn_id, other.turn_id)
    await flow.labels(said, said, label(other.turn_id, conversation_id="once"))
    await flow.pending(other.turn_id, lambda p: bool(p.votes))  # both are behind us: one partition, in order
    pending = await flow.pending(scored.turn_id)
    assert votes_of(pending) == {"ann": UNSAFE}


async def test_a_correction_replaces_the_annotators_vote_and_an_older_one_does_not(flow: Flow) -> None:
    name, now = unique("corrected"), datetime.now(UTC)
    await flow.turns(turn(name))
    await flow.verdicts(name)
    await flow.labels(label(name, "unsafe", labelled_at=now - timedelta(hours=2)))
    await flow.labels(label(name, "safe", labelled_at=now - timedelta(hours=1)))
    await flow.labels(label(name, "needs_caution", labelled_at=now - timedelta(hours=3)), label(name, annotator="last"))
    pending = await flow.pending(name, lambda p: "last" in p.votes)
    assert votes_of(pending) == {"ann": SAFE, "last": UNSAFE}


async def test_a_label_from_the_future_counts_as_of_its_arrival_and_an_honest_correction_still_wins(flow: Flow) -> None:
    name, now = unique("future"), datetime.now(UTC)
    await flow.turns(turn(name))
    await flow.verdicts(name)
    arrived_ms = int(now.timestamp() * 1000) - 60_000
    century = label(name, "unsafe", labelled_at=now + timedelta(days=36_525))
    await flow.send(flow.names.labels, record_of(century, timestamp_ms=arrived_ms))
    pending = await flow.pending(name, lambda p: bool(p.votes))
    assert pending.votes["ann"].at_ms == arrived_ms
    await flow.labels(label(name, "safe", labelled_at=now))
    await flow.pending(name, lambda p: votes_of(p) == {"ann": SAFE})


async def test_more_annotators_than_a_record_can_hold_are_set_aside_and_known_ones_may_still_correct(
    flow: Flow,
) -> None:
    name = unique("crowd")
    await flow.turns(turn(name))
    await flow.verdicts(name)
    *_, source = await flow.labels(*(label(name, "safe", f"annotator{i}") for i in range(MOST_ANNOTATORS + 1)))
    assert (await flow.letter(source)).reason == "too_many_votes"
    await flow.labels(label(name, "unsafe", "annotator0"))
    pending = await flow.pending(name, lambda p: votes_of(p).get("annotator0") == UNSAFE)
    assert len(pending.votes) == MOST_ANNOTATORS


def test_the_worker_that_read_all_this_still_runs_and_has_logged_no_traceback(flow: Flow, tmp_path: Path) -> None:
    assert flow.worker.running
    flow.worker.assert_no_traceback()
