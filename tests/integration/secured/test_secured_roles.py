"""What each role may do with the rights that `aegis topics acls` prints for it, and no more."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from pathlib import Path

import pytest

from stream import growth, topics_admin
from stream.codecs import encode
from stream.commands.experts_modes import set_mode
from stream.console.live.reader import TopicReader
from stream.console.live.state import Live
from stream.errors import TopicsError, WriteError
from stream.explain.explaining import explain
from stream.following import existing
from stream.records import Opinion, Source, Verdict
from stream.sending import Outbound, Sender
from stream.settings import Settings
from stream.topics import TopicNames, contract
from support.acls import allow
from support.broker import Namespace
from support.gateway import gateway, post
from support.kafka import Record, eventually_async, produce
from support.secured import MARKS, PRODUCER, WORKER, Secured, client, granted

pytestmark = MARKS


async def test_a_role_may_do_its_own_work_and_not_that_of_another(broker_asking: Secured, plain: Settings) -> None:
    settings, names = client(plain, broker_asking.scram()), TopicNames.of(plain)
    allow(broker_asking.plain, granted(settings, "reader", WORKER))
    await produce(broker_asking.plain, names.weights, [Record(b"{}", b"somebody")])
    assert [record.value async for records in existing(settings, names.weights) for record in records]
    with pytest.raises(TopicsError, match=r"does not exist, or this user may not see it"):
        await Sender(settings, names.turns).start()
    refused = await _refused(settings, names.verdicts)
    assert "grant what `aegis topics acls` prints" in refused


async def test_a_gateway_needs_no_more_than_its_own_role(
    broker_asking: Secured, plain: Settings, tmp_path: Path
) -> None:
    """Both ways, with the cheapest expert; the turn waits for a worker that is not there."""
    settings = client(plain, {**broker_asking.scram(), "experts": "lexical", "device": "cpu"})
    allow(broker_asking.plain, granted(settings, "gateway", WORKER))
    with gateway(settings, tmp_path / "log", "--mode", "either", "--timeout", "1") as running:
        address = running.address()
        said = {"turn_id": "t", "conversation_id": "c", "label": "safe", "labelled_at": "2026-01-01T00:00:00Z"}
        assert (await post(address, "/v1/labels", said))[0] == 202
        assert (await post(address, "/v1/moderations", {"input": "Hello"}))[0] == 504
        direct = {"input": "Hello", "aegis": {"mode": "direct"}}

        async def answered() -> bool:
            return (await post(address, "/v1/moderations", direct))[0] == 200

        await eventually_async(answered, awaited="a verdict at once")


async def test_an_analyst_may_explain_a_verdict_and_write_nothing(broker_asking: Secured, plain: Settings) -> None:
    settings, names = client(plain, broker_asking.scram()), TopicNames.of(plain)
    allow(broker_asking.plain, granted(settings, "analyst", WORKER))
    opinion = Opinion("e", "1", 0.25, 1.0, "ok")
    verdict = Verdict(
        "t", "c", "acme", "user", "safe", 0.25, "permissive", {}, (opinion,), "acme/user", 0,
        Source(names.turns, 0, 0), datetime.now(UTC), 5, {},
    )  # fmt: skip
    await produce(broker_asking.plain, names.verdicts, [Record(encode(verdict), b"c")])
    told = await explain(settings, "t")
    assert told.recomputed.agrees
    assert told.taught is not None
    assert "grant what `aegis topics acls` prints" in await _refused(settings, names.labels)


async def test_a_console_follows_all_that_it_shows_with_the_rights_of_its_role(
    broker_asking: Secured, plain: Settings
) -> None:
    settings, names = client(plain, broker_asking.scram()), TopicNames.of(plain)
    allow(broker_asking.plain, granted(settings, "console", WORKER))
    live = Live(settings)
    reader = TopicReader(settings, live.link, live.take, live.looked, live.counted_back)
    following = asyncio.create_task(reader.run())
    try:
        await produce(broker_asking.plain, names.dead_letters, [Record(b"x", b"k")])
        await eventually_async(lambda: live.letters.reasons and live.lag.look, awaited="a dead letter and the lag")
    finally:
        following.cancel()
    assert (live.link.state, len(live.lag.told()["partitions"])) == ("up", settings.partitions)
    assert "grant what `aegis topics acls` prints" in await _refused(settings, names.verdicts)


async def _refused(settings: Settings, topic: str) -> str:
    """What a sender is told of a record that it may not write."""
    sender = await Sender(settings, topic).start()
    try:
        try:
            ((_, reason),) = await sender.send([Outbound(1, b"k", b"v")], lambda count: None)
        except WriteError as error:
            return str(error)
        return reason
    finally:
        await sender.stop()


async def test_an_operator_makes_alters_and_deletes_topics_and_sets_modes(broker_asking: Secured) -> None:
    settings = Namespace.new().settings(**broker_asking.scram("producer"), partitions=1)
    with pytest.raises(TopicsError, match=r"refused a change of topic .*: grant what `aegis topics acls` prints"):
        await topics_admin.create(settings)
    allow(broker_asking.plain, granted(settings, "operator", PRODUCER))
    topics, lines = len(contract(settings)), list[str]()
    assert len(await topics_admin.create(settings)) == topics
    await growth.grow(settings, 2, lines.append)
    assert any("partitions 1 -> 2" in line for line in lines)
    assert "lexical: shadow" in await set_mode(settings, "lexical", "shadow", lambda line: None)
    assert len(await topics_admin.delete(settings)) == topics
