"""What turns a request becomes, and what is refused with which line."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from stream.gateway import asking
from stream.records import Turn, Utterance
from stream.web.answers import Refusal
from stream.web.callers import Caller

NOW = datetime(2026, 1, 1, tzinfo=UTC)
ANYBODY, BOUND = Caller("svc"), Caller("svc", tenant="acme")


def turns(
    request: dict[str, Any], caller: Caller = ANYBODY, key: str | None = None, headers: dict[str, str] | None = None
) -> list[Turn]:
    return asking.turns(asking.decode(json.dumps(request).encode(), headers or {}), caller, key, NOW, 100)


def refused(request: Any, **how: Any) -> Refusal:
    with pytest.raises(Refusal) as refusal:
        turns(request, **how)
    assert "\n" not in refusal.value.message
    return refusal.value


def test_a_text_is_a_turn_of_a_user_in_a_conversation_of_its_own() -> None:
    (turn,) = turns({"input": "Hello"})
    assert (turn.text, turn.role, turn.tenant, turn.sent_at) == ("Hello", "user", "default", NOW)
    assert turn.conversation_id == turn.turn_id


def test_texts_are_turns_with_ids_of_their_own() -> None:
    made = turns({"input": ["a", "b", "a"], "model": "omni-moderation-latest"})
    assert [turn.text for turn in made] == ["a", "b", "a"]
    assert len({turn.turn_id for turn in made}) == len({turn.conversation_id for turn in made}) == 3


def test_parts_are_one_input_together() -> None:
    (turn,) = turns({"input": [{"type": "text", "text": "one"}, {"type": "text", "text": "two"}]})
    assert turn.text == "one\ntwo"


def test_what_is_said_about_the_texts_goes_into_their_turns() -> None:
    about = {
        "conversation_id": "c",
        "role": "assistant",
        "tenant": "acme",
        "history": [{"role": "user", "text": "before"}],
        "metadata": {"a": "b"},
    }
    first, second = turns({"input": ["a", "b"], "aegis": about})
    assert first.conversation_id == second.conversation_id == "c"
    assert (first.role, first.tenant, first.history) == ("assistant", "acme", (Utterance("user", "before"),))
    assert first.metadata == {"a": "b"}


def test_headers_say_the_same_and_the_body_counts() -> None:
    headers = {"Aegis-Conversation-Id": "h", "Aegis-Role": "assistant", "Aegis-Tenant": "acme"}
    (turn,) = turns({"input": "a", "aegis": {"role": "system"}}, headers=headers)
    assert (turn.conversation_id, turn.role, turn.tenant) == ("h", "system", "acme")


@pytest.mark.parametrize(
    "headers", [{"Aegis-Role": "boss"}, {"Aegis-Tenant": ""}, {"Aegis-Conversation-Id": "x" * 129}]
)
def test_a_header_is_held_to_the_rules_of_the_body(headers: dict[str, str]) -> None:
    refusal = refused({"input": "a"}, headers=headers)
    assert refusal.status == 400
    assert refusal.message.startswith(next(iter(headers)))
    assert "boss" not in refusal.message


def test_a_bound_caller_needs_to_name_no_tenant_and_may_name_no_other() -> None:
    assert turns({"input": "a"}, BOUND)[0].tenant == "acme"
    assert turns({"input": "a", "aegis": {"tenant": "acme"}}, BOUND)[0].tenant == "acme"
    refusal = refused({"input": "a", "aegis": {"tenant": "other"}}, caller=BOUND)
    assert refusal.status == 403
    assert "acme" in refusal.message


class TestUnderAKey:
    def test_the_same_request_has_the_same_turns(self) -> None:
        first = turns({"input": ["a", "a"]}, key="k")
        assert [t.turn_id for t in first] == [t.turn_id for t in turns({"input": ["a", "a"]}, key="k")]
        assert first[0].turn_id != first[1].turn_id
        assert first[0].conversation_id == first[0].turn_id  # so that it comes to the same partition

    @pytest.mark.parametrize(
        ("request_", "how"),
        [
            ({"input": "b"}, {}),
            ({"input": "a", "aegis": {"role": "assistant"}}, {}),
            ({"input": "a", "aegis": {"conversation_id": "c"}}, {}),
            ({"input": "a", "aegis": {"tenant": "acme"}}, {}),
            ({"input": "a"}, {"key": "other"}),
            ({"input": "a"}, {"caller": Caller("other")}),
            ({"input": "a"}, {"key": None}),
        ],
    )
    def test_another_request_has_another_turn(self, request_: dict[str, Any], how: dict[str, Any]) -> None:
        (one,), (other,) = turns({"input": "a"}, key="k"), turns(request_, **{"key": "k", **how})
        assert one.turn_id != other.turn_id

    def test_one_that_is_too_long_is_refused(self) -> None:
        with pytest.raises(Refusal):
            asking.checked_key({asking.KEY: "x" * 256})
        assert asking.checked_key({}) is None


@pytest.mark.parametrize(
    ("request_", "status", "said"),
    [
        ({}, 400, "missing required field `input`"),
        ({"input": 5}, 400, "Expected `str | array`"),
        ({"input": []}, 400, "length >= 1"),
        ({"input": ["x"] * 257}, 400, "length <= 256"),
        ({"input": ["a", {"type": "text", "text": "b"}]}, 400, "texts and parts"),
        ({"input": [{"type": "image_url", "image_url": {"url": "x"}}]}, 400, "images are not moderated"),
        ({"input": [{"type": "text", "text": "a"}, {"type": "image_url", "image_url": {}}]}, 400, "images are not"),
        ({"input": "a", "aegis": {"role": "boss"}}, 400, "$.aegis.role"),
        ({"input": "a", "aegis": {"conversation_id": ""}}, 400, "$.aegis.conversation_id"),
        ({"input": "a", "aegis": {"mode": "magic"}}, 400, "$.aegis.mode"),
        ({"input": "x" * 101}, 413, "AEGIS_MAX_TEXT_BYTES"),
        ({"input": "a", "aegis": {"history": [{"role": "user", "text": "x" * 100}]}}, 413, "text and history are 101"),
        ([], 400, "Expected `object`"),
    ],
)
def test_what_the_contract_does_not_allow_is_refused_in_one_line(request_: Any, status: int, said: str) -> None:
    refusal = refused(request_)
    assert refusal.status == status
    assert said in refusal.message
    assert "boss" not in refusal.message


@pytest.mark.parametrize("body", [b"", b"{", b"\xff", b"[" * 100_000, b'{"input": "\xff"}'])
def test_a_body_that_is_no_json_is_refused(body: bytes) -> None:
    with pytest.raises(Refusal) as refusal:
        asking.decode(body, {})
    assert refusal.value.status == 400
