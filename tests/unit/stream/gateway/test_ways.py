"""Who waits for which verdict, and how many may."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import UTC, datetime

import pytest

from stream.codecs import encode
from stream.gateway.by_topics import Awaited
from stream.gateway.moderations import traced
from stream.gateway.ways import Room
from stream.records import Source, Turn, Verdict
from stream.web.answers import Refusal

NOW = datetime(2026, 1, 1, tzinfo=UTC)


@dataclass
class Record:
    value: bytes | None


def turn(turn_id: str, tenant: str = "default") -> Turn:
    return Turn(turn_id, "c", "user", "text", NOW, tenant)


def record(turn_id: str, tenant: str = "default") -> Record:
    source = Source("t", 0, 0)
    verdict = Verdict(turn_id, "c", tenant, "user", "safe", 0.1, "p", {}, (), "x", 0, source, NOW, 1, {})
    return Record(encode(verdict))


async def test_a_verdict_comes_to_all_who_wait_for_its_turn_and_to_nobody_else() -> None:
    awaited = Awaited()
    one, again = awaited.expect(turn("a")), awaited.expect(turn("a"))
    other, tenants = awaited.expect(turn("b")), awaited.expect(turn("a", "acme"))
    awaited.take([Record(None), Record(b"{"), Record(b'{"turn_id":"a","tenant":"default"}'), record("unknown")])
    awaited.take([record("a"), record("a")])
    assert (await one).turn_id == (await again).turn_id == "a"
    assert not other.done()
    assert not tenants.done()
    assert len(awaited) == 2


async def test_who_has_gone_leaves_nothing_behind_and_takes_nothing_from_others() -> None:
    awaited = Awaited()
    one, again = awaited.expect(turn("a")), awaited.expect(turn("a"))
    awaited.forget(turn("a"), one)
    awaited.forget(turn("a"), one)
    awaited.take([record("a")])
    assert (await again).turn_id == "a"
    assert one.cancelled()
    awaited.forget(turn("a"), again)
    assert len(awaited) == 0


async def test_bytes_that_are_no_verdict_do_not_end_the_wait() -> None:
    awaited = Awaited()
    future = awaited.expect(turn("a"))
    awaited.take([Record(b'{"turn_id":"a","tenant":"default","label":"no verdict"}')])
    awaited.take([record("a")])
    assert (await asyncio.wait_for(future, 1)).turn_id == "a"


def test_a_full_room_refuses_and_an_empty_one_takes_any_request() -> None:
    room = Room(3)
    with room.of(2):
        with pytest.raises(Refusal) as refused, room.of(2):
            pass
        assert refused.value.status == 503
        assert refused.value.headers["Retry-After"] == "1"
        with room.of(1):
            assert room.taken == 3
    with room.of(10):
        assert room.taken == 10
    assert room.taken == 0


def test_only_a_trace_that_is_one_is_carried_on() -> None:
    trace = {"traceparent": f"00-{'a' * 32}-{'b' * 16}-01"}
    assert traced({**trace, "tracestate": "x=y", "other": "z"}) == {**trace, "tracestate": "x=y"}
    assert traced({**trace, "tracestate": "x" * 600}) == trace
    assert traced({"tracestate": "x=y"}) == {}
    assert traced({"traceparent": "00-someone-else"}) == {}
