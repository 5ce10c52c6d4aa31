"""Every message that cannot be used has a reason, and the reason quotes nothing of it."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream.codecs import Rejected, decode_label, decode_turn, encode
from stream.records import MOST_HISTORY, Label, Turn

TURN = {
    "turn_id": "t",
    "conversation_id": "c",
    "role": "user",
    "text": "hello",
    "sent_at": "2026-01-01T00:00:00Z",
}
LABEL = {
    "turn_id": "t",
    "conversation_id": "c",
    "label": "safe",
    "annotator": "a",
    "labelled_at": "2026-01-01T00:00:00+02:00",
}


def turn(**changes: Any) -> bytes:
    return json.dumps({**TURN, **changes}).encode()


def reason(found: object) -> str:
    assert isinstance(found, Rejected), found
    return found.reason


def test_a_turn_without_the_optional_fields_has_their_defaults() -> None:
    found = decode_turn(turn(), 100)
    assert isinstance(found, Turn)
    assert (found.tenant, found.history, found.metadata) == ("default", (), {})


def test_unknown_fields_are_ignored() -> None:
    assert isinstance(decode_turn(turn(colour="red"), 100), Turn)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, "empty"),
        (b"", "empty"),
        (b"nonsense", "not_json"),
        (b'{"turn_id"', "not_json"),
        (b'{"turn_id":"\xff"}', "not_utf8"),
        (b"\xfe\xff", "not_utf8"),
        (b"[]", "wrong_type"),
        (turn(text=5), "wrong_type"),
        (turn(role="boss"), "wrong_type"),
        (turn(sent_at="yesterday"), "wrong_type"),
        (turn(sent_at="2026-01-01T00:00:00"), "wrong_type"),
        (turn(turn_id=""), "out_of_range"),
        (turn(turn_id="x" * 129), "out_of_range"),
        (turn(history=[{"role": "user"}]), "missing_field"),
        (json.dumps({k: v for k, v in TURN.items() if k != "text"}).encode(), "missing_field"),
        (turn(text="x" * 101), "text_too_large"),
        (turn(text="é" * 51), "text_too_large"),
        (turn(metadata={"a": "x" * 16_384}), "metadata_too_large"),
        (turn(text="x" * 60, history=[{"role": "user", "text": "y" * 60}]), "text_too_large"),
    ],
)
def test_a_bad_turn_is_rejected_with_its_reason(value: bytes | None, expected: str) -> None:
    assert reason(decode_turn(value, 100)) == expected


def test_a_text_of_just_the_limit_is_taken() -> None:
    assert isinstance(decode_turn(turn(text="x" * 100), 100), Turn)


@pytest.mark.parametrize("field", ["label", "annotator", "labelled_at", "turn_id", "conversation_id"])
def test_a_label_without_a_required_field_is_rejected(field: str) -> None:
    value = json.dumps({k: v for k, v in LABEL.items() if k != field}).encode()
    assert reason(decode_label(value)) == "missing_field"


def test_a_label_of_an_unknown_class_is_rejected_and_the_class_is_not_quoted() -> None:
    found = decode_label(json.dumps({**LABEL, "label": "a secret"}).encode())
    assert reason(found) == "wrong_type"
    assert isinstance(found, Rejected)
    assert "secret" not in found.detail


def test_a_label_that_could_not_be_kept_or_forwarded_is_rejected() -> None:
    value = json.dumps({**LABEL, "categories": ["x" * 70_000]}).encode()
    assert reason(decode_label(value)) == "label_too_large"
    assert reason(decode_label(json.dumps(LABEL).encode(), b"k" * 70_000)) == "label_too_large"


@given(st.binary(max_size=400))
def test_no_bytes_raise(value: bytes) -> None:
    for found in (decode_turn(value, 100), decode_label(value)):
        assert isinstance(found, Turn | Label | Rejected)


@given(st.recursive(st.none() | st.booleans() | st.floats() | st.text(), lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from([*TURN, *LABEL]), inner)))  # fmt: skip  # noqa: E501
def test_no_json_raises(value: object) -> None:
    for found in (decode_turn(json.dumps(value).encode(), 100), decode_label(json.dumps(value).encode())):
        assert isinstance(found, Turn | Label | Rejected)


@given(st.text(min_size=1, max_size=128), st.text(max_size=20), st.dictionaries(st.text(), st.text()))
def test_what_is_encoded_is_decoded_again(name: str, text: str, metadata: dict[str, str]) -> None:
    first = decode_turn(turn(turn_id=name, text=text, metadata=metadata), 10_000)
    assert isinstance(first, Turn)
    assert decode_turn(encode(first), 10_000) == first


def test_a_history_of_more_messages_than_any_expert_reads_is_out_of_range() -> None:
    """Each may be empty, so no bound on texts bounds their number."""
    empty = {"role": "user", "text": ""}
    assert isinstance(decode_turn(turn(history=[empty] * MOST_HISTORY), 100), Turn)
    assert reason(decode_turn(turn(history=[empty] * (MOST_HISTORY + 1)), 100)) == "out_of_range"


CANARY = "canary"
PLACES: list[Any] = [CANARY, [CANARY], {CANARY: CANARY}, {CANARY: 1}, [{CANARY: [1]}], 7, None, "\ud800" + CANARY]


@pytest.mark.parametrize("message", [TURN, LABEL])
@pytest.mark.parametrize("wrong", PLACES)
def test_no_detail_of_any_wrong_field_quotes_it(message: dict[str, Any], wrong: Any) -> None:
    for name in {*message, "tenant", "history", "metadata", "categories", "source"}:
        for value in (wrong, {"role": wrong, "text": wrong}, [wrong]):
            raw = json.dumps({**message, name: value}).encode()
            for damaged in (raw, raw[:-3], raw + b"x"):
                for found in (decode_turn(damaged, 100), decode_label(damaged)):
                    assert not (isinstance(found, Rejected) and CANARY in repr(found)), found
