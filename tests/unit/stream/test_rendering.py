from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import msgspec
import pytest

from stream.codecs import Rejected
from stream.rendering import as_columns, as_json, asks, full_name, kind_of, printable
from stream.settings import Settings
from stream.topics import TopicNames

NAMES = TopicNames.of(Settings(topic_prefix="t.", app_id="worker"))
TURN: dict[str, Any] = {
    "turn_id": "t1",
    "conversation_id": "c1",
    "role": "user",
    "text": "a secret",
    "sent_at": "2026-01-01T00:00:00Z",
}
LABEL = {
    "turn_id": "t1",
    "conversation_id": "c1",
    "label": "unsafe",
    "annotator": "ann",
    "labelled_at": "2026-01-01T00:00:00Z",
}
VERDICT = {
    "turn_id": "t1",
    "conversation_id": "c1",
    "tenant": "default",
    "role": "user",
    "label": "needs_caution",
    "score": 0.4321,
    "policy": "permissive",
    "categories": {},
    "experts": [
        {"name": "lexical", "version": "1", "score": 0.25, "weight": 1.0, "status": "ok"},
        {"name": "semantic", "version": "1", "score": None, "weight": 0.0, "status": "timeout"},
    ],
    "context": "default/user",
    "rounds": 3,
    "source": {"topic": "t.turns.v1", "partition": 1, "offset": 2},
    "scored_at": "2026-01-01T00:00:00Z",
    "latency_ms": 12,
    "metadata": {},
}
WEIGHTS = {
    "context": "default/user",
    "policy": "permissive",
    "rounds": 9,
    "since_rounds": 0,
    "at": "2026-01-01T00:00:00Z",
    "experts": [
        {"id": "lexical@1", "weight": 0.2, "loss": 3.0, "regret": -1.0},
        {"id": "semantic@1", "weight": 0.8, "loss": 1.0, "regret": 0.5},
    ],
    "ensemble_loss": 1.5,
    "bound": 2.25,
    "delay": 0.0,
    "alarm": False,
}
HEADERS = (
    ("aegis-reason", b"forged"),
    ("aegis-reason", b"not_json"),
    ("aegis-detail", b"not JSON"),
    ("aegis-topic", b"t.turns.v1"),
    ("aegis-partition", b"3"),
    ("aegis-offset", b"42"),
)


@dataclass
class Record:
    value: bytes | None
    headers: tuple[tuple[str, bytes], ...] = ()
    key: bytes | None = b"c1"
    partition: int = 0
    offset: int = 5
    timestamp: int = 1_767_225_600_000  # 2026-01-01T00:00:00Z


def of(value: dict[str, Any]) -> Record:
    return Record(msgspec.json.encode(value))


def columns(kind: str | None, record: Record, show_text: bool = False) -> str:
    line = as_columns(kind, record, show_text)
    assert not isinstance(line, Rejected)
    return " ".join(line.plain.split())


def told(record: Record, show_text: bool) -> Any:
    line = as_json("dead-letters", record, show_text)
    assert not isinstance(line, Rejected)
    return msgspec.json.decode(line)


def test_short_names_are_those_of_the_contract_and_any_other_name_is_a_topic() -> None:
    assert full_name("dead-letters", NAMES) == "t.dead-letters.v1"
    assert full_name("moments", NAMES) == "moments"
    assert kind_of("t.turns.v1", NAMES) == "turns"
    assert kind_of("turns", NAMES) is None


def test_json_is_the_record_as_it_is_on_one_line_also_fields_that_this_version_does_not_know() -> None:
    pretty = b'{\n  "turn_id": "t1",\n  "new": [1, 2]\n}'
    assert as_json("turns", Record(pretty), False) == b'{"turn_id":"t1","new":[1,2]}'


@pytest.mark.parametrize("value", [None, b"", b"no", b"\xff\xfe"])
@pytest.mark.parametrize("kind", ["turns", "labels", "verdicts", "weights"])
def test_what_is_no_record_is_told_with_its_size_and_not_printed(kind: str, value: bytes | None) -> None:
    for line in (as_json(kind, Record(value), True), as_columns(kind, Record(value), True)):
        assert isinstance(line, Rejected)
        assert "secret" not in line.detail


def test_a_dead_letter_tells_its_reason_source_and_size_and_its_text_only_when_asked() -> None:
    record = Record(b"a secret \xff", HEADERS)
    assert told(record, False) == {
        "reason": "not_json",
        "detail": "not JSON",
        "topic": "t.turns.v1",
        "partition": 3,
        "offset": 42,
        "size": 10,
        "place": "0:5",
        "replays": 0,
        "at": "2026-01-01T00:00:00Z",
    }
    assert told(record, True)["text"] == "a secret \ufffd"
    assert columns("dead-letters", record).split() == [
        "00:00:00",
        "not_json",
        "t.turns.v1[3]@42",
        "10",
        "bytes",
        "not",
        "JSON",
    ]
    assert "a secret" in columns("dead-letters", record, show_text=True)


def test_a_dead_letter_with_anyones_headers_or_without_them_is_told_too() -> None:
    letter = told(Record(None, (("aegis-offset", b"\xff"),)), True)
    assert (letter["reason"], letter["offset"], letter["size"], letter["text"]) == ("unknown", -1, 0, "")


def test_columns_of_a_turn_hide_its_text_unless_asked() -> None:
    assert columns("turns", of(TURN)).split() == ["00:00:00", "c1", "t1", "user", "8", "characters"]
    assert columns("turns", of(TURN), show_text=True).endswith("a secret")


def test_columns_of_labels_verdicts_and_weights_show_what_was_said() -> None:
    assert columns("labels", of(LABEL)).split() == ["00:00:00", "c1", "t1", "unsafe", "by", "ann"]
    assert columns("verdicts", of(VERDICT)).split()[3:] == (
        ["user", "needs_caution", "0.432", "lexical", "0.25", "semantic", "timeout", "12", "ms"]
    )
    assert columns("verdicts", of({**VERDICT, "score": None})).split()[5] == "-"
    assert "0.432 threat 0.90 violence 0.12 lexical" in columns(
        "verdicts", of({**VERDICT, "categories": {"threat": 0.9, "violence": 0.1234}})
    )
    assert columns("weights", of(WEIGHTS)).split()[1:] == (
        [
            "default/user",
            "9",
            "rounds",
            "semantic@1",
            "0.800",
            "lexical@1",
            "0.200",
            "regret",
            "0.50",
            "of",
            "at",
            "most",
            "2.25",
        ]
    )


@pytest.mark.parametrize(("said", "asking"), [({}, True), ({"ask_label": True}, True), ({"ask_label": False}, False)])
def test_a_verdict_asks_for_a_label_unless_it_says_otherwise(said: dict[str, bool], asking: bool) -> None:
    assert asks(of(VERDICT | said)) is asking
    assert not asks(of(LABEL))


def test_weights_without_a_bound_say_so() -> None:
    assert "regret 0.50 of no bound" in columns("weights", of({**WEIGHTS, "bound": None}))


def test_what_a_shadow_said_stands_in_brackets_and_its_regret_beside_the_weights() -> None:
    shadow = {"name": "lexical", "version": "1", "score": 0.25, "weight": 0.0, "status": "shadow"}
    assert "lexical (0.25)" in columns("verdicts", of({**VERDICT, "experts": [shadow]}))
    beside = {"id": "toxic@2", "weight": 0.0, "loss": 1.0, "regret": -0.25}
    assert "shadow toxic@2 regret -0.25" in columns("weights", of({**WEIGHTS, "shadows": [beside]}))


def test_a_verdict_that_is_unsafe_and_an_alarm_stand_out() -> None:
    unsafe = as_columns("verdicts", of({**VERDICT, "label": "unsafe"}), False)
    alarm = as_columns("weights", of({**WEIGHTS, "alarm": True}), False)
    for line in (unsafe, alarm):
        assert not isinstance(line, Rejected)
        assert "bold red" in [str(span.style) for span in line.spans]


def test_columns_of_any_other_topic_show_key_and_size() -> None:
    assert columns(None, Record(b"\x00\x01")).split() == ["00:00:00", "[0]@5", "c1", "2", "bytes"]


def test_what_others_wrote_cannot_act_on_the_terminal_or_break_the_line() -> None:
    hostile = {**TURN, "turn_id": "a\x1b[2Jb\nc", "text": "x\r\x9b31my"}
    line = as_columns("turns", of(hostile), True)
    assert not isinstance(line, Rejected)
    assert line.plain.isprintable()
    assert printable("plain ünïcode") == "plain ünïcode"
