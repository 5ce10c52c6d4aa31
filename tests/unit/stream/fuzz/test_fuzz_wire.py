"""Whatever stands in a topic that others write: a record that comes back the same, or a reason that quotes nothing."""

from __future__ import annotations

import io
from collections.abc import Callable
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any, Final

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stream import rendering, state
from stream.codecs import SCHEMA_REASONS, Rejected, decode_label, decode_turn, decoded, encode
from stream.expert_modes import Wishes
from stream.letters import Wanted, letter, own_headers
from stream.lines import read_lines
from stream.records import Erasure, ExpertMode, Label, Turn, Verdict, Weights
from stream.replay.tape import Tape
from stream.requests import Requests, milliseconds
from stream.routing import FIRST, STAMP, TRIED, TRIES, Journey, candidates, next_stop
from stream.traces import is_of
from support.fuzzing import CANARY, damaged, nested, spoilt_json

REASONS: Final = {"empty", "not_utf8", "not_json", "wrong_type", *(reason for _, reason in SCHEMA_REASONS)} | {
    *("text_too_large", "metadata_too_large", "label_too_large")
}
TIME: Final = "2026-01-01T00:00:00Z"
TURN: Final = {
    "turn_id": f"{CANARY}-t",
    "conversation_id": "c",
    "role": "user",
    "text": f"{CANARY} said",
    "sent_at": TIME,
    "tenant": "acme",
    "history": [{"role": "assistant", "text": f"{CANARY} before"}],
    "metadata": {f"{CANARY}-k": f"{CANARY}-v"},
}
LABEL: Final = {
    "turn_id": f"{CANARY}-t",
    "conversation_id": "c",
    "label": "safe",
    "annotator": "ann",
    "labelled_at": TIME,
    "tenant": "acme",
    "categories": [CANARY],
    "source": {"topic": "t", "partition": 3, "offset": 42},
}
VERDICT: Final = {
    "turn_id": "t",
    "conversation_id": "c",
    "tenant": "acme",
    "role": "user",
    "label": "unsafe",
    "score": 0.7,
    "policy": "permissive",
    "categories": {"Violence": 0.4},
    "context": "acme/user",
    "rounds": 3,
    "experts": [{"name": "a", "version": "1", "score": 0.7, "weight": 1.0, "status": "ok"}],
    "source": {"topic": "t", "partition": 3, "offset": 42},
    "scored_at": TIME,
    "latency_ms": 7,
    "metadata": {"k": CANARY},
    "ask_label": True,
    "ask_probability": 0.5,
}
WEIGHTS: Final = {
    "context": "acme/user",
    "policy": "permissive",
    "rounds": 3,
    "since_rounds": 0,
    "at": TIME,
    "experts": [{"id": "a@1", "weight": 1.0, "loss": 0.5, "regret": 0.0}],
    "ensemble_loss": 0.5,
    "bound": 1.0,
    "delay": 3.0,
    "alarm": False,
}
MODE: Final = {"mode": "shadow", "at": TIME}
_verdicts, _weights = msgspec.json.Decoder(Verdict), msgspec.json.Decoder(Weights)
_modes = msgspec.json.Decoder(ExpertMode)
Decode = Callable[[bytes | None], Any]
DECODERS: Final[dict[str, tuple[dict[str, Any], Decode]]] = {
    "turns": (TURN, lambda value: decode_turn(value, 65_536)),
    "labels": (LABEL, decode_label),
    "verdicts": (VERDICT, lambda value: decoded(_verdicts, value)),
    "weights": (WEIGHTS, lambda value: decoded(_weights, value)),
    "modes": (MODE, lambda value: decoded(_modes, value)),
}
NESTED: Final = [nested(b'{"a":'), nested(b"["), b'{"turn_id":' + nested(b"[", b"]") + b"}", b'{"x":' + nested(b"[[")]
HEADERS: Final = st.lists(
    st.tuples(
        st.sampled_from((TRIED, FIRST, TRIES, STAMP))
        | st.sampled_from(
            [f"aegis-{n}" for n in ("reason", "detail", "topic", "partition", "offset", "replayed", "replays")]
        )
        | st.text(max_size=5),
        st.none()
        | st.binary(max_size=20)
        | st.sampled_from((b"9" * 5000, b"-1", "٣".encode(), b"1:2", b"1,2,3", b"0")),
    ),
    max_size=12,
)
TIMESTAMPS: Final = st.integers(-(2**63), 2**63 - 1)


def checked(kind: str, value: bytes | None) -> Any:
    """What a decoder makes of bytes, once it is seen to keep its promises."""
    found = DECODERS[kind][1](value)
    if isinstance(found, Rejected):
        assert found.reason in REASONS
        assert CANARY not in found.detail
        assert len(found.detail) <= 300
        assert found.detail.isprintable()
    else:
        assert DECODERS[kind][1](encode(found)) == found
    return found


def used(found: Any) -> None:
    """What the worker does with a record before anything is written: nothing of it may raise."""
    if isinstance(found, Turn):
        state.pending_key(found.tenant, found.turn_id)
        state.digest(found.role, found.text)
        state.conversation_key(found.tenant, found.conversation_id)
    elif isinstance(found, Label):
        assert isinstance(milliseconds(found.labelled_at), int)
        state.early_prefix_of(state.early_key(found.tenant, found.turn_id, found.annotator))
        named = found.source.partition if found.source else None
        next_stop(0, Journey(), candidates(found.conversation_id.encode(), [4, 2], named), 4)


@pytest.mark.parametrize("kind", DECODERS)
def test_the_template_itself_is_a_record(kind: str) -> None:
    assert not isinstance(checked(kind, msgspec.json.encode(DECODERS[kind][0])), Rejected)


@pytest.mark.parametrize("kind", DECODERS)
@given(st.data())
@settings(max_examples=120)
def test_damaged_bytes_and_impossible_values_are_a_record_or_a_reason(kind: str, data: st.DataObject) -> None:
    template = DECODERS[kind][0]
    used(checked(kind, data.draw(damaged(msgspec.json.encode(template)) | spoilt_json(template))))


@pytest.mark.parametrize("value", NESTED, ids=range(len(NESTED)))
def test_nesting_without_end_is_a_reason_everywhere(value: bytes) -> None:
    for kind in DECODERS:
        assert isinstance(checked(kind, value), Rejected) or kind in ("turns",)
        assert told(kind, value)
    assert isinstance(Tape().line(value), Rejected)
    assert not rendering.asks(record(value))
    wishes = Wishes()
    wishes.learn([record(value, key=b"toxic")])
    assert (wishes.unreadable, wishes.wishes) == (1, {})
    requests = Requests()
    requests.learn([record(value, key=b"revoke")])
    assert requests.unreadable == 1
    assert not is_of(Erasure("default", datetime.now(UTC), turn_id="nowhere"), record(value))


@given(st.data())
@settings(max_examples=100)
def test_what_an_operator_wants_of_an_expert_is_followed_or_counted_as_unreadable(data: st.DataObject) -> None:
    value = data.draw(damaged(msgspec.json.encode(MODE)) | spoilt_json(MODE) | st.none())
    key = data.draw(st.none() | st.binary(max_size=9) | st.just(b"toxic"))
    wishes = Wishes()
    assert wishes.learn([record(value, key=key)])
    assert len(wishes.wishes) + wishes.unreadable <= 1


@given(st.data())
@settings(max_examples=100)
def test_a_replay_takes_a_line_or_says_why_not(data: st.DataObject) -> None:
    template: dict[str, Any] = data.draw(st.sampled_from((VERDICT, LABEL)))
    problem = Tape().line(data.draw(damaged(msgspec.json.encode(template)) | spoilt_json(template)))
    assert problem is None or CANARY not in problem.detail


@given(HEADERS, st.binary(max_size=9), st.integers(1, 50))
@settings(max_examples=150)
def test_a_journey_is_read_from_any_headers_and_written_again(headers: Any, key: bytes, count: int) -> None:
    journey = Journey.of(headers)
    assert Journey.of(journey.headers()) == journey
    stop, _ = next_stop(0, journey, candidates(key, [count], None), count)
    assert stop is None or 0 <= stop < count


@given(HEADERS, st.none() | st.binary(max_size=50), TIMESTAMPS)
@settings(max_examples=150)
def test_any_dead_letter_is_told_without_its_text(headers: Any, value: bytes | None, timestamp: int) -> None:
    letters = record((value or b"") + CANARY.encode(), headers=headers, timestamp=timestamp)
    said = letter(letters)
    assert msgspec.json.decode(msgspec.json.encode(said), type=dict)["size"] == len(letters.value)
    assert CANARY.encode() not in msgspec.json.encode(said)
    assert letter(letters, show_text=True).text
    assert Wanted(reasons=frozenset([said.reason]))(letters)
    assert all(not name.startswith("aegis-") for name, _ in own_headers(headers) if name not in ("aegis-",))
    assert told("dead-letters", letters.value, headers=headers, timestamp=timestamp)


@given(st.data(), TIMESTAMPS)
@settings(max_examples=150)
def test_any_record_is_shown_or_named_and_moves_no_cursor(data: st.DataObject, timestamp: int) -> None:
    kind = data.draw(st.sampled_from(sorted(DECODERS)))
    template = DECODERS[kind][0]
    told(kind, data.draw(damaged(msgspec.json.encode(template)) | spoilt_json(template)), timestamp=timestamp)


@given(st.lists(damaged(msgspec.json.encode(TURN)) | spoilt_json(TURN), max_size=5), st.integers(1, 50))
@settings(max_examples=100)
def test_any_file_is_lines_each_a_record_or_a_reason(values: list[bytes], step: int) -> None:
    whole = io.BytesIO(b"\n".join(values))

    class Pipe:
        def read1(self, size: int = -1, /) -> bytes:
            return whole.read(step)

    lines = [line for several in read_lines(Pipe()) for line in several]
    assert [line.number for line in lines] == sorted({line.number for line in lines})
    for line in lines:
        checked("turns", line.value)


def record(value: bytes | None, key: bytes | None = None, headers: Any = (), timestamp: int = 0) -> Any:
    return SimpleNamespace(
        topic="t", partition=0, offset=1, timestamp=timestamp, key=key, value=value, headers=tuple(headers)
    )


def told(kind: str, value: bytes | None, **more: Any) -> bool:
    """Both ways of showing a record say something of it."""
    shown = kind if kind in rendering.KINDS else None
    for line in (
        rendering.as_json(shown, record(value, **more), False),
        rendering.as_columns(shown, record(value, **more), False),
    ):
        if isinstance(line, Rejected):
            assert CANARY not in line.detail
        elif not isinstance(line, bytes):
            assert line.plain.isprintable()
    return True
