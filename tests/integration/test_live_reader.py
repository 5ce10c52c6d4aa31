"""The console's reader against a real broker: what was there before, what comes, and partitions that are added."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime, timedelta

from stream import growth
from stream.codecs import encode
from stream.console.live.reader import TopicReader
from stream.console.live.state import Live
from stream.records import ExpertMode, Opinion, Source, Standing, Verdict, Weights
from stream.settings import Settings
from stream.topics import TopicNames
from support.kafka import Record, eventually_async, produce


@asynccontextmanager
async def following(settings: Settings) -> AsyncIterator[Live]:
    """What a console keeps that follows these topics meanwhile."""
    live = Live(settings)
    async with _running(TopicReader(settings, live.link, live.take, live.looked, live.counted_back)):
        yield live


@asynccontextmanager
async def _running(reader: TopicReader) -> AsyncIterator[None]:
    task = asyncio.create_task(reader.run())
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


def verdict(context: str, ago: timedelta = timedelta(), partition: int | None = None) -> Record:
    tenant, _, _ = context.partition("/")
    at = datetime.now(UTC) - ago
    made = Verdict(
        "t", "c", tenant, "user", "safe", 0.1, "permissive", {}, (Opinion("lexical", "1", 0.1, 1.0, "ok"),), context, 0,
        Source("t", 0, 0), at, 5, {},
    )  # fmt: skip
    return Record(encode(made), b"c", partition=partition, timestamp_ms=int(at.timestamp() * 1000))


def weights(context: str) -> Record:
    standings = (Standing("lexical@1", 1.0, 1.0, 0.0),)
    told = Weights(context, "permissive", 3, 0, datetime.now(UTC), standings, 1.0, 2.0, 0.0, False)
    return Record(encode(told), context.encode())


async def test_weights_are_read_from_the_first_and_verdicts_a_quarter_of_an_hour_back(topics: Settings) -> None:
    names = TopicNames.of(topics)
    old = timedelta(hours=2)
    await produce(topics.broker, names.weights, [weights("old/user")])
    await produce(topics.broker, names.experts, [Record(encode(ExpertMode("shadow", datetime.now(UTC))), b"lexical")])
    await produce(topics.broker, names.verdicts, [verdict("ancient/user", old, 0), verdict("lately/user", partition=0)])
    async with following(topics) as live:
        await eventually_async(lambda: {"old/user", "lately/user"} <= live.contexts.known.keys(), awaited="contexts")
        await eventually_async(lambda: live.wishes.wishes, awaited="the mode")
        await produce(topics.broker, names.verdicts, [verdict("now/user")])
        await eventually_async(lambda: "now/user" in live.contexts.known, awaited="what comes")
        assert "ancient/user" not in live.contexts.known
        assert live.link.state == "up"


async def test_turns_of_before_are_counted_and_those_that_wait_are_lag(topics: Settings) -> None:
    names = TopicNames.of(topics)
    at = datetime.now(UTC) - timedelta(minutes=5)
    sent = [Record(b"{}", b"c", partition=1, timestamp_ms=int(at.timestamp() * 1000)) for _ in range(30)]
    await produce(topics.broker, names.turns, sent)
    async with following(topics) as live:
        await eventually_async(lambda: live.lag.turns == 30, awaited="the lag")
        await eventually_async(lambda: sum(_turns(live)) > 29, awaited="the turns of before")
        assert live.lag.told()["workers"] == []
        assert round(sum(_turns(live))) == 30


async def test_a_second_connection_counts_nothing_twice(topics: Settings) -> None:
    names, live = TopicNames.of(topics), Live(topics)
    at = int((datetime.now(UTC) - timedelta(minutes=5)).timestamp() * 1000)
    await produce(topics.broker, names.turns, [Record(b"{}", b"c", timestamp_ms=at) for _ in range(30)])
    await produce(topics.broker, names.verdicts, [verdict("a/user")])
    reader = TopicReader(topics, live.link, live.take, live.looked, live.counted_back)
    async with _running(reader):
        await eventually_async(lambda: sum(_turns(live)) > 29 and live.contexts.known, awaited="the turns of before")
        await eventually_async(lambda: live.lag.look, awaited="a look")
    first = live.lag.look
    async with _running(reader):
        await produce(topics.broker, names.verdicts, [verdict("b/user")])
        await eventually_async(lambda: "b/user" in live.contexts.known, awaited="what comes")
        await eventually_async(lambda: live.lag.look is not first, awaited="another look")
    assert round(sum(_turns(live))) == 30
    assert live.contexts.known["a/user"].verdicts == 1


def _turns(live: Live) -> list[float]:
    return [turns or 0.0 for turns in live.traffic.series(0)["turns"]]


async def test_partitions_that_are_added_are_followed(topics: Settings) -> None:
    names = TopicNames.of(topics)
    async with following(topics) as live:
        await eventually_async(lambda: live.lag.look, awaited="a look")
        await growth.grow(topics, topics.partitions + 1, lambda line: None)
        await produce(topics.broker, names.verdicts, [verdict("new/user", partition=topics.partitions)])
        await eventually_async(lambda: "new/user" in live.contexts.known, awaited="the new partition")
        await eventually_async(lambda: len(live.lag.told()["partitions"]) == topics.partitions + 1, awaited="its lag")
        assert live.contexts.known["new/user"].verdicts == 1
