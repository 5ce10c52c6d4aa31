"""Whatever stands in the changelog or in moments.v1: a record that comes back the same, or the documented refusal."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable
from math import inf
from types import SimpleNamespace
from typing import Any, Final

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from structlog.testing import capture_logs

from ensemble.codec import decode as decode_moments
from ensemble.codec import encode as encode_moments
from ensemble.errors import MomentsError
from ensemble.moments import zero
from stream import projection, state
from stream.errors import ForeignRecordError, StateError
from stream.routing import candidates
from stream.settings import Settings
from stream.view import MergedView
from support.fuzzing import CANARY, damaged, nested, one_line, spoilt_json, spoilt_msgpack
from support.rounds import PANEL, learned, random_rounds

MOMENTS: Final = encode_moments(learned(random_rounds(1, 20, 3), PANEL[:3]))
PENDING: Final = [
    *(1, 1_767_225_600_000, b"d" * 16, 3, 42, 7, "acme/user", "permissive", 2, ["a@1", "b@1"], b"\0" * 8, b"\0\1"),
    *(b"\0" * 8, b"\0" * 32, 0.5, 3, 2.5, {"Violence": 0.5}, 0.25, {CANARY: [2, 1_767_225_600_000]}, True),
    *({CANARY: [[1, 1_767_225_500_000]]}, 2),
]
EARLY: Final = [1, 1_767_225_600_000, 1_767_225_601_000, 3, 0, b"key", CANARY.encode(), [], 2, "1:42"]
RECKONING: Final = [1, {0: 3}, b"d" * 16]
CONVERSATION: Final = [1, 1_767_225_600_000, 1_767_225_600_000, 99, [1, 2], [["user", CANARY], ["assistant", CANARY]]]
PART: Final = [1, 42, MOMENTS]
BASELINE: Final = [1, "0123456789abcdef", MOMENTS]
PRIOR: Final = [1, {"a@1": 0.5, "b@1": 0.5}]
RECORDS: Final[dict[str, tuple[list[Any], Callable[[bytes], Any]]]] = {
    "pending": (PENDING, state.decode_pending),
    "early": (EARLY, state.decode_early),
    "conversation": (CONVERSATION, state.decode_conversation),
    "age": (CONVERSATION, state.decode_conversation_age),
    "reckoning": (RECKONING, state.decode_reckoning),
    "part": (PART, projection.decode_part),
    "baseline": (BASELINE, projection.baseline_of),
    "prior": (PRIOR, projection.decode_prior),
}
NESTED: Final = [
    nested(b"\x91"),
    nested(b"\x81\xa1a"),
    b"\x9f" + nested(b"\xdc\xff\xff"),
    nested(b"\xdd\x00\x00\x00\x01"),
]
"""Arrays and maps of msgpack without end."""


def checked(decode: Callable[[bytes], Any], value: bytes) -> Any:
    """What a decoder makes of bytes: a value, or one line that quotes nothing."""
    try:
        return decode(value)
    except StateError as error:
        one_line(error)
        return None


@pytest.mark.parametrize("kind", RECORDS)
def test_the_template_itself_is_a_record(kind: str) -> None:
    template, decode = RECORDS[kind]
    assert checked(decode, msgspec.msgpack.encode(template)) is not None


@pytest.mark.parametrize("kind", RECORDS)
@given(st.data())
@settings(max_examples=100)
def test_damaged_records_and_impossible_values_are_a_record_or_refused(kind: str, data: st.DataObject) -> None:
    template, decode = RECORDS[kind]
    found = checked(decode, data.draw(damaged(msgspec.msgpack.encode(template)) | spoilt_msgpack(template)))
    if isinstance(found, msgspec.Struct):
        again = state.encode(found)
        assert state.encode(checked(decode, again)) == again


@pytest.mark.parametrize("value", NESTED, ids=range(len(NESTED)))
def test_nesting_without_end_is_refused(value: bytes) -> None:
    for _, decode in RECORDS.values():
        assert checked(decode, value) is None
    assert checked(projection.decode_counts, nested(b"[")) is None


@pytest.mark.parametrize("decode", [decode for _, decode in RECORDS.values()], ids=RECORDS)
def test_a_record_of_another_version_says_which_one_reads_it(decode: Callable[[bytes], Any]) -> None:
    template = next(template for template, known in RECORDS.values() if known == decode)
    with pytest.raises(StateError, match="schema version 7, this worker reads 1"):
        decode(msgspec.msgpack.encode([7, *template[1:]]))


def sealed(body: bytes) -> bytes:
    """With the checksum that makes a forger's record look whole."""
    return body + struct.pack("<I", zlib.crc32(body))


@given(st.data())
@settings(max_examples=150)
def test_forged_moments_with_a_right_checksum_are_moments_or_refused(data: st.DataObject) -> None:
    value = sealed(data.draw(damaged(MOMENTS[:-4])))
    try:
        found = decode_moments(value)
    except MomentsError as error:
        one_line(error)
    else:
        again = encode_moments(found)
        assert encode_moments(decode_moments(again)) == again


def test_names_of_experts_that_nest_without_end_are_refused() -> None:
    names = b"[" * 50_000
    head = struct.pack("<2sBBHIqddd", b"AM", 2, 0, 1, len(names), 0, 0.0, 0.0, 0.0)
    with pytest.raises(MomentsError):
        decode_moments(sealed(head + names + b"\0" * 200_000))


@given(spoilt_json({"0": 4}) | damaged(b"[12,8,4]") | st.sampled_from((b"[0]", b"[-4]", b"[1e3]")))
@settings(max_examples=100)
def test_partition_counts_are_counts_that_a_key_can_be_divided_by(value: bytes) -> None:
    counts = checked(projection.decode_counts, value)
    if counts is not None:
        candidates(b"key", counts, None)


@pytest.mark.parametrize("weights", [{"a": -1.0}, {"a": inf}, {"a": float("nan")}, {"a": 0.0, "b": 0.0}])
def test_a_prior_whose_weights_are_none_is_refused(weights: dict[str, float]) -> None:
    with pytest.raises(ForeignRecordError):
        projection.decode_prior(projection.encode_prior(weights))


@given(st.binary(max_size=40))
@settings(max_examples=150)
def test_any_key_of_an_early_label_names_its_turn_or_is_refused(key: bytes) -> None:
    prefix = checked(state.early_prefix_of, state.EARLY + key)
    assert prefix is None or (state.EARLY + key).startswith(prefix)


KEYS: Final = st.sampled_from((b"m", b"b", b"p", b"c", b"", b"x")).flatmap(
    lambda kind: st.sampled_from((b"", b"acme/user", b"\xff", b"/")).map(lambda rest: kind + rest)
)


@given(st.none() | KEYS, st.data())
@settings(max_examples=150)
def test_a_record_that_no_worker_wrote_changes_nothing_in_the_merged_view_and_is_told(
    key: bytes | None, data: st.DataObject
) -> None:
    view = MergedView(Settings())
    view.learn(0, projection.part_key("acme/user"), projection.encode_part(5, zero(PANEL)))
    template = data.draw(st.sampled_from((PART, BASELINE, PRIOR)))
    value = data.draw(damaged(msgspec.msgpack.encode(template)) | spoilt_msgpack(template) | st.none())
    before = (len(view.contexts()), dict(view.priors), dict(view.baselines), list(view.partition_counts))
    with capture_logs() as logs:
        try:
            view._take(SimpleNamespace(topic="moments.v1", partition=1, offset=7, key=key, value=value))
        except StateError as error:
            one_line(error, "schema version")  # only another version may end a worker
            return
    if logs:
        after = (len(view.contexts()), view.priors, view.baselines, view.partition_counts)
        assert after == before
        assert logs[0]["event"] == "foreign_record"
        assert CANARY not in str(logs)
