"""A gateway whose broker is not there, is not what it should be, or comes and goes."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from stream import broker as embedded
from stream import topics_admin
from stream.codecs import decode_turn, encode
from stream.records import Source, Turn, Verdict
from stream.settings import Settings
from stream.topics import TopicNames
from support.broker import Namespace
from support.gateway import Gateway, gateway, get, post
from support.kafka import Record, consume_until, eventually_async, produce


@pytest.mark.parametrize(
    ("arguments", "changes", "code", "said"),
    [
        (("--host", "0.0.0.0"), {}, 2, "nothing would tell who: set AEGIS_TOKENS_FILE"),
        ((), {"tokens_file": "nowhere"}, 2, "AEGIS_TOKENS_FILE: nowhere cannot be read"),
        ((), {}, 3, "no broker answers"),
    ],
)
def test_what_it_cannot_begin_with_is_one_line(
    tmp_path: Path, arguments: tuple[str, ...], changes: dict[str, str], code: int, said: str
) -> None:
    settings = Namespace.new().settings(f"127.0.0.1:{embedded.free_port()}").model_copy(update=changes)
    with Gateway(settings, tmp_path / "log", *arguments) as alone:
        assert alone.wait() == code
        (line,) = alone.text().splitlines()
    assert said in line


def test_topics_that_are_not_there_are_one_line(settings: Settings, tmp_path: Path) -> None:
    with Gateway(settings, tmp_path / "log") as alone:
        assert alone.wait() == 4
        assert "does not exist: run `aegis topics create`" in alone.text()


@pytest.mark.timeout(300)  # a broker starts twice, which takes a busy machine half a minute each time
async def test_a_broker_that_goes_is_said_and_one_that_comes_back_is_found(tmp_path: Path) -> None:
    """The test is the worker: it answers the turn that it finds."""
    folder, port = tmp_path / "broker", embedded.free_port()
    await asyncio.to_thread(embedded.start, folder, port)
    try:
        settings = Namespace.new().settings(f"127.0.0.1:{port}", partitions=1, write_timeout=2.0)
        await topics_admin.create(settings)
        with gateway(settings, tmp_path / "log", "--timeout", "30") as running:
            address = running.address()
            assert await label(address) == 202
            await asyncio.to_thread(embedded.stop, folder)
            assert await label(address) == 503
            await eventually_async(lambda: says(address, 503), awaited="that it says so")
            status, body = await post(address, "/v1/moderations", {"input": "Hello?"})
            assert (status, body["error"]["code"]) == (503, "unavailable")
            assert "does not answer" in body["error"]["message"]
            await asyncio.to_thread(embedded.start, folder, port)

            await eventually_async(lambda: says(address, 200), awaited="that it is found")
            await eventually_async(lambda: taken(address), awaited="a label taken again")
            asked = asyncio.create_task(post(address, "/v1/moderations", {"input": "Hello again."}))
            names = TopicNames.of(settings)
            (record,) = await consume_until(settings.broker, names.turns, lambda records: len(records) == 1)
            await produce(settings.broker, names.verdicts, [verdict_on(record)])
            status, body = await asked
            assert (status, body["results"][0]["aegis"]["score"]) == (200, 0.25)
    finally:
        await asyncio.to_thread(embedded.stop, folder)


async def says(address: str, status: int) -> bool:
    return (await get(address, "/readyz"))[0] == status


async def taken(address: str) -> bool:
    return await label(address) == 202


async def label(address: str) -> int:
    said = {"turn_id": "t", "conversation_id": "c", "label": "safe", "labelled_at": "2026-01-01T00:00:00Z"}
    return (await post(address, "/v1/labels", said))[0]


def verdict_on(record: Any) -> Record:
    turn = decode_turn(record.value, 1000)
    assert isinstance(turn, Turn)
    source = Source(record.topic, record.partition, record.offset)
    ours = (turn.turn_id, turn.conversation_id, turn.tenant, turn.role)
    verdict = Verdict(*ours, "safe", 0.25, "permissive", {}, (), "default/user", 0, source, turn.sent_at, 1, {})
    return Record(encode(verdict), record.key)
