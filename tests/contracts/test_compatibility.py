"""What earlier versions of the contract wrote means the same today; and a change that breaks a promise fails here."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Annotated, Any, Literal

import msgspec
import pytest
from msgspec import Meta, Struct

from ensemble import codec
from ensemble.errors import MomentsVersionError
from stream import asyncapi, codecs, records, requests, state
from support import recordings
from support.compatibility import ACCEPTED, breaks, broken_promises, readable_by_all, shape, validate
from support.recordings import Recording, differences
from support.samples import SAMPLES, Sample

TEXT_BYTES = 65_536


def published() -> dict[str, Any]:
    """The document of this version, as JSON."""
    document: dict[str, Any] = json.loads(asyncapi.files()["asyncapi.json"])
    return document


STATE = {
    "Pending": state.decode_pending,
    "Early": state.decode_early,
    "Conversation": state.decode_conversation,
    "Reckoning": state.decode_reckoning,
}
KEYS = {
    "pending_key": state.pending_key("kitchen", "ü-✓-2"),
    "early_key": state.early_key("kitchen", "ü-✓-2", "ann"),
    "conversation_key": state.conversation_key("kitchen", "c-1"),
    "moments_key": state.moments_key("kitchen/user"),
}


def decoded(record: str, value: bytes) -> Any:
    """By the codec that the worker has for it, or the one of its readers."""
    match record:
        case "Turn":
            return codecs.decode_turn(value, TEXT_BYTES)
        case "Label":
            return codecs.decode_label(value)
        case "Revocation" | "Erasure" | "Fulfilment":
            return msgspec.json.decode(value, type=records.Request)
    return msgspec.json.decode(value, type=getattr(records, record))


@pytest.mark.parametrize("recording", recordings.messages(), ids=str)
def test_a_message_of_an_earlier_version_means_what_it_meant(recording: Recording) -> None:
    record = decoded(recording.record, recording.value)
    assert type(record).__name__ == recording.record
    assert differences(recording.means, record) == []


@pytest.mark.parametrize("recording", recordings.messages(), ids=str)
def test_a_message_of_an_earlier_version_is_valid_under_every_version_since(recording: Recording) -> None:
    message, since = json.loads(recording.value), recordings.versions().index(recording.version)
    for version in recordings.versions()[since:]:
        validate(message, recording.record, recordings.document(version))
    validate(message, recording.record, published())


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda sample: str(sample.record))
def test_what_is_written_today_is_valid_for_those_who_read_by_an_earlier_version(sample: Sample) -> None:
    record = decoded(sample.record, json.dumps(sample.message).encode())
    readable_by_all(msgspec.json.encode(record), sample.record)


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda sample: str(sample.record))
def test_fields_of_tomorrow_are_ignored_at_every_depth(sample: Sample) -> None:
    record = decoded(sample.record, json.dumps(sample.message).encode())
    struct = type(record)
    grown = json.dumps(with_more(msgspec.to_builtins(record), struct)).encode()
    assert grown.count(b"a_field_of_tomorrow") >= 1
    assert decoded(sample.record, grown) == record


def with_more(value: Any, kind: Any) -> Any:
    """The same value, with one more field in each object that is a struct."""
    if isinstance(kind, type) and issubclass(kind, Struct):
        types = {field.encode_name: field.type for field in msgspec.structs.fields(kind)}
        same = {name: with_more(each, types.get(name)) for name, each in value.items()}
        return {**same, "a_field_of_tomorrow": [{"of": "any kind"}]}
    inner = [each for each in getattr(kind, "__args__", ()) if each is not Ellipsis]
    if isinstance(value, list | tuple):
        return [with_more(each, inner[0] if inner else None) for each in value]
    structs = [each for each in inner if isinstance(each, type) and issubclass(each, Struct)]
    return with_more(value, structs[0]) if structs and isinstance(value, dict) else value


def test_this_contract_keeps_what_earlier_ones_of_its_major_version_promised() -> None:
    assert broken_promises(asyncapi.VERSION, published()) == []


def test_a_break_that_was_accepted_is_still_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """Or it is taken off the list."""
    accepted = set(ACCEPTED)
    monkeypatch.setattr("support.compatibility.ACCEPTED", {})
    found = {line for v in recordings.versions() for line in breaks(recordings.document(v), published())}
    assert found == accepted


def test_this_contract_is_the_one_recorded_under_its_version() -> None:
    assert asyncapi.VERSION in recordings.versions(), "run `make contracts`, which records this version"
    same = shape(recordings.document(asyncapi.VERSION)) == shape(published())
    assert same, (
        "the contract changed: raise VERSION in stream/asyncapi.py and run `make contracts`;"
        " where nobody has used this version yet, `make contracts ARGS=--again`"
    )


@pytest.mark.parametrize("recording", [r for r in recordings.messages() if r.key is not None], ids=str)
def test_a_request_is_found_again_under_its_key(recording: Recording) -> None:
    record = decoded(recording.record, recording.value)
    match record:
        case records.Revocation():
            assert requests.revocation_key(record) == recording.key
        case records.Erasure():
            assert requests.erasure_key(record) == recording.key
        case records.Fulfilment():
            assert requests.fulfilment_key(record.partition) == recording.key


# --- state ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("recording", recordings.state(), ids=str)
def test_a_state_of_an_earlier_version_is_read_or_refused_as_promised(recording: Recording) -> None:
    if recording.record in STATE:
        state.refuse_unknown(b"p", recording.value)
        assert differences(recording.means, STATE[recording.record](recording.value)) == []
    elif recording.record in KEYS:
        assert KEYS[recording.record] == recording.value
    elif recording.record == "Claim":
        assert state.claimed_by(recording.value) == recording.means["by"]
    elif recording.means["schema"] == codec.VERSION:
        assert codec.encode(codec.decode(recording.value)) == recording.value
    else:
        with pytest.raises(MomentsVersionError, match="run the one that wrote them"):
            codec.decode(recording.value)


@pytest.mark.parametrize("name", ["Pending", "Early"])
def test_a_state_record_that_ends_before_any_of_its_younger_fields_is_read(name: str) -> None:
    """Each of them was the last one in some version between two that are recorded."""
    newest = [r for r in recordings.state() if r.record == name][-1]
    items: list[Any] = msgspec.msgpack.decode(newest.value)
    fields = msgspec.structs.fields(getattr(state, name))
    required = sum(field.required for field in fields)
    assert required < len(fields) == len(items)
    for count in range(required, len(fields)):
        known = {field.name: newest.means[field.name] for field in fields[:count]}
        assert differences(known, STATE[name](msgspec.msgpack.encode(items[:count]))) == []


BEFORE = {
    "Pending": {"asked": True, "beside": {}, "learned": state.BY_MAJORITY},
    "Early": {"beside": (), "replays": 0, "replayed": ""},
}
"""What records say of themselves that were written before they could say it."""


@pytest.mark.parametrize("recording", [r for r in recordings.state() if r.record in BEFORE], ids=str)
def test_what_a_state_record_does_not_say_is_as_it_was_then(recording: Recording) -> None:
    record = STATE[recording.record](recording.value)
    unsaid = {name: value for name, value in BEFORE[recording.record].items() if name not in recording.means}
    assert {name: getattr(record, name) for name in unsaid} == unsaid
    assert set(recording.means) | set(unsaid) == {field.name for field in msgspec.structs.fields(type(record))}


# --- what breaks a promise ------------------------------------------------------------------------------------------


FORBID = "forbid_unknown_fields"


def altered(struct: type[Struct], changes: Changes) -> type[Struct]:
    """The same struct, but for fields by name: None is gone; a type is required; (type, default) is not; (struct,
    changes) is an array of that struct so altered."""
    fields: dict[str, Any] = {}
    for field in msgspec.structs.fields(struct):
        default = () if field.required else (field.default,)
        if field.default_factory is not msgspec.NODEFAULT:
            default = (msgspec.field(default_factory=field.default_factory),)
        fields[field.name] = (field.type, *default)
    for name, change in changes.items():
        match change:
            case None:
                fields.pop(name, None)
            case (type() as inner, dict() as deeper) if issubclass(inner, Struct):
                fields[name] = (tuple[altered(inner, deeper), ...],)  # type: ignore[misc]
            case (kind, default):
                fields[name] = (kind, default)
            case _:
                fields[name] = (change,)
    forbid = bool(fields.pop(FORBID, False))
    ordered = sorted(fields.items(), key=lambda field: len(field[1]))  # those without a default first
    return msgspec.defstruct(struct.__name__, [(name, *field) for name, field in ordered], forbid_unknown_fields=forbid)


def documented(monkeypatch: pytest.MonkeyPatch, *structs: type[Struct]) -> dict[str, Any]:
    """The document of a contract with these structs in place of those of their names."""
    by_name = {struct.__name__: struct for struct in structs}
    channels = {
        name: replace(channel, structs=tuple(by_name.get(struct.__name__, struct) for struct in channel.structs))
        for name, channel in asyncapi.CHANNELS.items()
    }
    with monkeypatch.context() as patch:
        patch.setattr(asyncapi, "CHANNELS", channels)
        return published()


Status = Literal["ok", "timeout", "error", "shadow"]
MoreStatus = Literal["ok", "timeout", "error", "abstained", "shadow", "cached"]
ShortId = Annotated[str, Meta(min_length=1, max_length=64)]
LongId = Annotated[str, Meta(min_length=1, max_length=256)]
Changes = dict[str, Any]
BROKEN: dict[str, tuple[type[Struct], Changes, str]] = {
    "a field of verdicts is removed": (records.Verdict, {"latency_ms": None}, "Verdict.latency_ms: is gone"),
    "a field of turns is removed": (records.Turn, {"metadata": None}, "Turn.metadata: is gone"),
    "a type changes": (records.Verdict, {"rounds": str}, "Verdict.rounds: type is string, was integer"),
    "a type changes that others write": (records.Turn, {"text": int}, "Turn.text: type is integer, was string"),
    "an instant becomes a number": (records.Verdict, {"scored_at": int}, "Verdict.scored_at: type is integer"),
    "an instant becomes any text": (records.Label, {"labelled_at": str}, "Label.labelled_at: format is None"),
    "a required field comes": (records.Turn, {"language": str}, "Turn.language: is new and required"),
    "a required field comes to verdicts": (records.Verdict, {"region": str}, "Verdict.region: is new and required"),
    "a field becomes required": (records.Turn, {"tenant": str}, "Turn.tenant: is required now"),
    "a default means another thing": (records.Label, {"tenant": (str, "all")}, "Label.tenant: default is all"),
    "an enum loses a value": (
        records.Label,
        {"label": Literal["safe", "unsafe"]},
        "Label.label: needs_caution is gone",
    ),
    "an inner enum loses a value": (
        records.Verdict,
        {"experts": (records.Opinion, {"status": Status})},
        "Verdict.experts[].status: abstained is gone",
    ),
    "a decision that consumers do not know": (
        records.Verdict,
        {"label": Literal["safe", "needs_caution", "unsafe", "blocked"]},
        "Verdict.label: blocked is new",
    ),
    "an id must be shorter": (records.Turn, {"turn_id": ShortId}, "Turn.turn_id: maxLength is 64, was 128"),
    "a score may not be null any more": (records.Verdict, {"score": float}, "Verdict.score: null is refused"),
    "what was always there may be null": (records.Verdict, {"policy": str | None}, "Verdict.policy: null is new"),
    "what was always there may be absent": (
        records.Weights,
        {"alarm": (bool, False)},
        "Weights.alarm: is not always there any more",
    ),
    "further fields are refused": (records.Turn, {FORBID: True}, "Turn: forbids further fields"),
    "an inner field is removed": (
        records.Verdict,
        {"experts": (records.Opinion, {"version": None})},
        "Verdict.experts[].version: is gone",
    ),
    "a map gets other values": (records.Turn, {"metadata": (dict[str, int], {})}, "Turn.metadata{}: type is"),
}
ALLOWED: dict[str, tuple[type[Struct], Changes]] = {
    "a field with a default comes to turns": (records.Turn, {"language": (str, "")}),
    "a field with a default comes to verdicts": (records.Verdict, {"region": (str | None, None)}),
    "an id may be longer": (records.Label, {"annotator": LongId}),
    "others may say more": (records.Label, {"label": Literal["safe", "needs_caution", "unsafe", "unsure"]}),
    "an expert has another status": (records.Verdict, {"experts": (records.Opinion, {"status": MoreStatus})}),
}


@pytest.mark.parametrize("what", BROKEN)
def test_a_change_that_breaks_a_promise_is_found(what: str, monkeypatch: pytest.MonkeyPatch) -> None:
    struct, changes, told = BROKEN[what]
    before, after = published(), documented(monkeypatch, altered(struct, changes))
    found = list(breaks(before, after))
    assert found
    assert all(told in line for line in found), found
    assert shape(before) != shape(after)


@pytest.mark.parametrize("what", ALLOWED)
def test_a_contract_may_grow(what: str, monkeypatch: pytest.MonkeyPatch) -> None:
    struct, changes = ALLOWED[what]
    before, after = published(), documented(monkeypatch, altered(struct, changes))
    assert list(breaks(before, after)) == []
    assert shape(before) != shape(after)


def test_a_new_major_version_owes_the_earlier_ones_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    document = documented(monkeypatch, altered(records.Verdict, {"latency_ms": None}))
    assert broken_promises("1.99.0", document)
    assert broken_promises("2.0.0", document) == []


HEADERS = ("dead-letters.v1", "messages", "DeadLetter", "headers")


@pytest.mark.parametrize(
    ("told", "place", "name"),
    [
        ("channel weights.v1: is gone", (), "weights.v1"),
        ("channel turns.v1: address is", ("turns.v1",), "address"),
        ("Erasure: is gone from requests.v1", ("requests.v1", "messages"), "Erasure"),
        ("DeadLetter headers.aegis-reason: is gone", (*HEADERS, "properties"), "aegis-reason"),
        ("DeadLetter headers.aegis-offset: is not always there", (*HEADERS, "required"), "aegis-offset"),
    ],
)
def test_a_topic_or_header_that_goes_is_found(told: str, place: tuple[str, ...], name: str) -> None:
    document = published()
    node = document["channels"]
    for part in place:
        node = node[part]
    if name == "address":
        node[name] = "aegis.elsewhere"
    elif isinstance(node, list):
        node.remove(name)
    else:
        del node[name]
    found = list(breaks(published(), document))
    assert found
    assert all(told in line for line in found), found
