"""What is asked for is what the newest records say, whenever they are read; and who is told what of it."""

from __future__ import annotations

from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

from stream.asked import answer_to, key_of
from stream.codecs import encode
from stream.counting import Countings
from stream.policies import Policies
from stream.records import Erasure, Fulfilment, Revocation
from stream.requests import Requests, fulfilment_key
from stream.settings import Settings
from stream.traces import is_of
from support.flow import label, turn


def at(second: int) -> datetime:
    return datetime.fromtimestamp(second, UTC)


def record(offset: int, asked: Any, key: bytes | None = None, partition: int = 0) -> Any:
    if isinstance(asked, Fulfilment):
        key = fulfilment_key(asked.partition)
    elif key is None:
        key = key_of(asked)
    value = asked if asked is None or isinstance(asked, bytes) else encode(asked)
    return SimpleNamespace(partition=partition, offset=offset, key=key, value=value)


REVOKED = Revocation("ann", None, at(10), at(20), at(30))
OF_ACME = Revocation("ann", "acme", at(40), at(50), at(60))


def test_spans_of_one_annotator_stand_beside_each_other_and_a_tenants_are_its_own() -> None:
    requests = Requests()
    assert requests.learn([record(0, REVOKED), record(1, OF_ACME)])
    assert requests.revoked_in("acme") == {"ann": [(10_000, 20_000), (40_000, 50_000)]}
    assert requests.revoked_in("other") == {"ann": [(10_000, 20_000)]}
    countings = Countings(Policies(Settings.load()), requests)
    counting = countings.of("acme/user")
    told = [counting.is_revoked("ann", second * 1000) for second in (9, 10, 20, 21, 45)]
    assert told == [False, True, True, False, True]
    assert not counting.is_revoked("bob", 15_000)
    requests.learn([record(2, Revocation("ann", None, at(10), at(20), at(70), undone=True))])
    assert not countings.of("acme/user").is_revoked("ann", 15_000)


def test_records_read_again_and_bytes_that_are_no_request_change_nothing() -> None:
    requests = Requests()
    records = [record(0, REVOKED), record(1, b"{", b"k"), record(2, b'{"kind":"other"}', b"k"), record(3, None, b"k")]
    assert requests.learn(records)
    assert not requests.learn(records)
    assert (requests.unreadable, requests.version, requests.through) == (2, 1, {0: 0})


def test_a_request_is_carried_out_where_a_fulfilment_reaches_its_place() -> None:
    requests, key = Requests(), key_of(REVOKED)
    requests.learn([record(0, Fulfilment(0, {0: 0}, {}, at(1))), record(1, REVOKED)])
    requests.learn(
        [record(2, Fulfilment(0, {0: 1}, {key.decode(): 3}, at(1))), record(3, Fulfilment(1, {}, {}, at(1)))]
    )
    answer = answer_to(requests, key, 2)
    assert (answer.done, answer.partitions, answer.count, answer.complete) == (1, 2, 3, False)
    assert requests.through == {0: 1}, "a fulfilment is no request"
    assert requests.revocations_after({})
    assert not requests.revocations_after({0: 1})
    requests.learn([record(4, REVOKED)])
    assert answer_to(requests, key, 2).done == 0, "asked again"


def test_texts_from_before_an_erasure_are_not_kept_and_later_ones_are() -> None:
    requests = Requests()
    one, other = turn("t", conversation_id="c"), turn("u", conversation_id="d")
    assert not requests.forgets_turn(one, 0)
    requests.learn([record(0, Erasure("default", at(10), conversation_id="c"))])
    requests.learn([record(1, Erasure("default", at(20), turn_id="u"))])
    assert [requests.forgets_turn(one, ms) for ms in (10_000, 10_001)] == [True, False]
    assert [requests.forgets_turn(other, ms) for ms in (20_000, 20_001)] == [True, False]
    assert not requests.forgets_turn(turn("t", conversation_id="c", tenant="acme"), 1)
    assert [requests.forgets_label(label("x", conversation_id="c"), ms) for ms in (10_000, 10_001)] == [True, False]
    assert requests.forgets_label(label("u", conversation_id="elsewhere"), 99_000), "its turn will not come again"
    assert list(requests.erasures_after({0: 0})) == [key_of(Erasure("default", at(20), turn_id="u"))]


def test_what_is_of_a_conversation_is_told_by_its_fields_or_by_its_bytes_where_it_has_none() -> None:
    wanted = Erasure("default", at(1), conversation_id="c-1")

    def found(value: bytes | None, key: bytes | None = None) -> bool:
        return is_of(wanted, SimpleNamespace(key=key, value=value))

    assert found(encode(turn("t", conversation_id="c-1")))
    assert not found(encode(turn("t", "speaks of c-1", conversation_id="c-2")))
    assert not found(encode(turn("t", conversation_id="c-1", tenant="acme")))
    assert found(b'{"broken": "c-1"', b"k")
    assert found(b"\xff", b"c-1")
    assert not found(None, None)
    assert is_of(Erasure("default", at(1), turn_id="t"), SimpleNamespace(key=None, value=encode(label("t"))))
    assert not is_of(Erasure("default", at(1), turn_id="t"), SimpleNamespace(key=None, value=b"{}"))


def test_limits_are_told_apart_by_what_they_say_and_are_nothing_unless_set() -> None:
    def digest(**fields: Any) -> bytes:
        named = {"policy": "ours", "policies": {"ours": fields}}
        return Countings(Policies(Settings.load(**named))).limits_digest()

    assert digest() == digest(ask=0.5) == Countings(Policies(Settings.load())).limits_digest() == b""
    said = [digest(quorum=2), digest(quorum=3), digest(others=0.5), digest(annotators={"a": 2.0})]
    assert len({*said, b""}) == 5
    assert digest(annotators={"a": 2.0, "b": 1.5}) == digest(annotators={"b": 1.5, "a": 2.0})
