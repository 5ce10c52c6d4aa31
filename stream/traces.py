"""What the topics that are the operator's own still hold of a conversation or of a turn: where, never what."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import msgspec

from stream.codecs import UNREADABLE
from stream.following import existing
from stream.records import Erasure
from stream.settings import Settings
from stream.topics import TopicNames


class _Named(msgspec.Struct, gc=False):
    """What turns, labels and verdicts have in common; dead letters may lack all of it."""

    tenant: str = "default"
    conversation_id: str = ""
    turn_id: str = ""


_named = msgspec.json.Decoder(_Named)


@dataclass(slots=True)
class Trace:
    """Records of one partition, and the offsets of the first and the last."""

    topic: str
    partition: int
    records: int
    first: int
    last: int


async def traces(settings: Settings, erasure: Erasure, advance: Callable[[int], None]) -> list[Trace]:
    """Reads turns, labels, verdicts and dead letters up to where they end now; `advance` is told of records.

    Raises TopicsError or BrokerError, one line."""
    names, found = TopicNames.of(settings), dict[tuple[str, int], Trace]()
    for topic in (names.turns, names.labels, names.verdicts, names.dead_letters):
        async for records in existing(settings, topic):
            for record in filter(lambda record: is_of(erasure, record), records):
                trace = found.setdefault(
                    (topic, record.partition), Trace(topic, record.partition, 0, record.offset, record.offset)
                )
                trace.records += 1
                trace.last = record.offset
            advance(len(records))
    return list(found.values())


def is_of(erasure: Erasure, record: Any) -> bool:
    """Whether a record is of this conversation or turn. One that cannot be read is, if the id stands anywhere in it: a
    dead letter may be anything."""
    try:
        named = _named.decode(record.value or b"")
    except UNREADABLE:
        places = (record.key or b"", record.value or b"")
        return any(identifier.encode() in place for identifier in _identifiers(erasure) for place in places)
    if named.tenant != erasure.tenant:
        return False
    return named.conversation_id == erasure.conversation_id or named.turn_id == erasure.turn_id


def _identifiers(erasure: Erasure) -> Iterator[str]:
    yield from (each for each in (erasure.conversation_id, erasure.turn_id) if each is not None)
