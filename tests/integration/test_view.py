"""The merged view reads `moments.v1` of a broker, and says when it has read all that is there."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Any

from ensemble.moments import zero
from stream.producer import Outgoing, Producer
from stream.projection import encode_part, part_key
from stream.settings import Settings
from stream.topics import TopicNames
from stream.view import MergedView


class HeldView(MergedView):
    """Takes nothing in before it is let."""

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        self.may_take = asyncio.Event()

    async def _take_all(self, found: dict[Any, list[Any]]) -> None:
        if found:
            await self.may_take.wait()
        await super()._take_all(found)


async def test_all_is_read_when_what_was_published_before_the_question_is_taken_in(topics: Settings) -> None:
    moments, view, producer = TopicNames.of(topics).moments, HeldView(topics), Producer(topics)
    reading = asyncio.create_task(view.run())
    await producer.start([moments])
    try:
        await view.ready()
        contexts = [f"t{number}/user" for number in range(300)]
        records = [Outgoing(part_key(context), encode_part(1, zero(("e@1",)))) for context in contexts]
        for partition in range(topics.partitions):
            await producer.append(moments, partition, records[partition :: topics.partitions])
        asked = asyncio.create_task(view.reads_all(topics.partitions))
        assert await asyncio.wait([asked], timeout=0.5) == (set(), {asked})
        view.may_take.set()
        await asyncio.wait_for(asked, 30)
        assert sorted(view.contexts()) == sorted(contexts)
    finally:
        reading.cancel()
        with suppress(asyncio.CancelledError):
            await reading
        await producer.stop()
