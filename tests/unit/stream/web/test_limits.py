"""How much one caller may ask."""

from __future__ import annotations

import asyncio
import gzip
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiohttp import web

from stream.settings import Settings
from stream.web import limits
from stream.web.access import Access
from stream.web.limits import Limits, Rate, read_body
from stream.web.serving import application
from support.served import served


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def service(limits: Limits, tokens: Path | None = None) -> web.Application:
    async def count(request: web.Request) -> web.Response:
        return web.json_response(len(await read_body(request)))

    app = application(Access.of(Settings(tokens_file=tokens), "127.0.0.1"), limits)
    app.add_routes([web.post("/", count)])
    return app


def test_a_bucket_lets_a_burst_through_and_then_the_rate() -> None:
    clock = Clock()
    rate = Rate(2.0, 3, clock)
    assert [rate.take("ann") for _ in range(4)] == [0.0, 0.0, 0.0, 0.5]
    assert rate.take("bob") == 0.0  # each has its own
    clock.now += 0.5
    assert [rate.take("ann"), rate.take("ann")] == [0.0, 0.5]
    clock.now += 1000.0
    assert [rate.take("ann", 3), rate.take("ann")] == [0.0, 0.5]  # no more than a burst is saved up


def test_more_than_a_burst_at_once_costs_all_of_it_and_is_not_refused_for_ever() -> None:
    rate = Rate(1.0, 3, Clock())
    assert rate.take("ann", 50) == 0.0
    assert rate.take("ann") == 1.0


def test_callers_that_are_many_are_forgotten() -> None:
    rate = Rate(1.0, 1, Clock())
    for number in range(limits.MOST_CALLERS + 5):
        rate.take(str(number))
    assert len(rate._buckets) == limits.MOST_CALLERS


async def test_who_asks_too_often_is_told_when_to_ask_again(tmp_path: Path) -> None:
    tokens = tmp_path / "tokens"
    tokens.write_text("ann:a-token-of-ann-0123456789\nbob:a-token-of-bob-0123456789\n")
    ann, bob = ({"Authorization": f"Bearer a-token-of-{name}-0123456789"} for name in ("ann", "bob"))
    clock = Clock()
    async with served(service(Limits(1000, Rate(0.4, 1, clock)), tokens)) as client:
        for headers, status in ((ann, 200), (ann, 429), (bob, 200)):
            async with client.post("/", data=b"x", headers=headers) as answer:
                assert answer.status == status
                if status == 429:
                    assert answer.headers["Retry-After"] == "3"
                    assert (await answer.json())["error"]["type"] == "rate_limit_error"
        clock.now += 2.5
        async with client.post("/", data=b"x", headers=ann) as answer:
            assert answer.status == 200


async def test_a_body_over_the_limit_is_refused_whether_or_not_its_length_is_said() -> None:
    async def pieces() -> AsyncIterator[bytes]:
        for _ in range(100):
            yield b"x" * 50

    async with served(service(Limits(1000))) as client:
        for body, status in ((b"x" * 1000, 200), (b"x" * 1001, 413), (pieces(), 413)):
            async with client.post("/", data=body) as answer:
                assert answer.status == status
                if status == 413:
                    assert (await answer.json())["error"]["code"] == "request_too_large"


async def test_a_body_that_does_not_come_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "SLOWEST_BODY", 0.05)

    async def never() -> AsyncIterator[bytes]:
        yield b"x"
        await asyncio.sleep(60)

    async with served(service(Limits(1000))) as client, client.post("/", data=never()) as answer:
        assert answer.status == 408


async def test_a_body_that_is_not_what_its_headers_say_is_refused() -> None:
    async with served(service(Limits(1000))) as client:
        headers = {"Content-Encoding": "gzip"}
        async with client.post("/", data=b"not packed at all", headers=headers) as answer:
            assert answer.status == 400
            assert (await answer.json())["error"]["code"] == "broken_body"


async def test_a_small_body_that_unpacks_to_a_large_one_is_refused() -> None:
    small = gzip.compress(b"x" * 1_000_000)
    assert len(small) < 2000
    async with served(service(Limits(2000))) as client:
        for body, status in ((small, 413), (gzip.compress(b"x" * 2000), 200)):
            async with client.post("/", data=body, headers={"Content-Encoding": "gzip"}) as answer:
                assert answer.status == status
