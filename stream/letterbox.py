"""Finds dead letters in their topic: only what the places or the time ask for is read."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterable
from contextlib import aclosing
from typing import Any

from stream.errors import DataError
from stream.following import Spans, existing
from stream.letters import Place, Wanted
from stream.settings import Settings
from stream.topics import TopicNames


async def letters(settings: Settings, wanted: Wanted, limit: int | None = None) -> AsyncGenerator[list[Any], None]:
    """Yields the wanted dead letters (aiokafka ConsumerRecord) of each fetch, `limit` in all at most.

    Raises DataError, one line, when a place that is asked for has none, BrokerError or TopicsError as the broker makes
    necessary."""
    topic, left, missing = TopicNames.of(settings).dead_letters, limit, set(wanted.places)

    def narrow(spans: Spans) -> Spans:
        return _around(wanted.places, spans) if wanted.places else spans

    async with aclosing(existing(settings, topic, wanted.since_ms, narrow)) as source:
        async for records in source:
            missing -= {Place(record.partition, record.offset) for record in records}
            found = [record for record in records if wanted(record)][:left]
            if found:
                yield found
            left = None if left is None else left - len(found)
            if left == 0:
                return
    if missing:
        raise DataError(f"there is no dead letter at {min(missing)}: `aegis dead-letters list` tells the places")


def _around(places: Iterable[Place], spans: Spans) -> Spans:
    """The parts of partitions that hold these places. Raises DataError, one line, for one outside of them."""
    found: Spans = {}
    for partition, offset in sorted(places):
        start, end = spans.get(partition, (0, 0))
        if offset < start:
            raise DataError(
                f"the dead letter at {partition}:{offset} has expired (the oldest of its partition is at {start}):"
                " send the message itself again"
            )
        if offset >= end:
            raise DataError(
                f"there is no dead letter at {partition}:{offset}: `aegis dead-letters list` tells the places"
            )
        first, last = found.get(partition, (offset, offset))
        found[partition] = (min(first, offset), max(last, offset + 1))
    return found
