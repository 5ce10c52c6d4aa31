"""Looks for the verdict of a turn, its labels and its text, in topics that may hold months."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Collection
from contextlib import aclosing
from datetime import datetime
from typing import Any, Final, NamedTuple

import msgspec
from msgspec import Struct

from stream import topics_admin
from stream.codecs import UNREADABLE, Rejected, decode_label, decode_turn, decoded, encode
from stream.errors import DataError
from stream.following import Spans, existing
from stream.letters import instant
from stream.records import Label, Source, Turn, Verdict
from stream.requests import milliseconds
from stream.routing import candidates
from stream.settings import Settings
from stream.topics import TopicNames

Advance = Callable[[str, int], None]
"""Told what is read, and of how many records more."""
FIRST_STEP: Final = 10_000
"""Records of each partition that are looked at first, the newest: an hour of a busy one. Each step back is twice as
long, since every step costs a connection of 0.1 s."""
LONGEST_TEXT: Final = 1 << 20


class Named(Struct, frozen=True, gc=False):
    """What a verdict or a label is known by: the rest is read only of the one that is wanted."""

    turn_id: str
    tenant: str = "default"


class Found(NamedTuple):
    """A verdict, and where it stands."""

    verdict: Verdict
    place: Source


class Said(NamedTuple):
    """A label, and the record that it came in."""

    label: Label
    record: Any


_named = msgspec.json.Decoder(Named)
_verdicts = msgspec.json.Decoder(Verdict)


class Backwards:
    """What to read of a topic, step by step from its end: `narrow` for `stream.following.existing`."""

    def __init__(self, only: Collection[int] | None = None, never: Collection[int] = ()) -> None:
        self._only, self._never = only, never
        self._ends: dict[int, int] | None = None
        self._step = FIRST_STEP
        self.over = False

    def narrow(self, spans: Spans) -> Spans:
        """The next step back of each partition."""
        if self._ends is None:
            mine = {p: span for p, span in spans.items() if self._only is None or p in self._only}
            self._ends = {p: end for p, (_, end) in mine.items() if p not in self._never}
        wanted = {p: (max(spans[p][0], end - self._step), end) for p, end in self._ends.items() if p in spans}
        self._ends = {p: start for p, (start, _) in wanted.items()}
        self._step *= 2
        self.over = all(start <= spans[p][0] for p, (start, _) in wanted.items())
        return wanted


class Search:
    """The search for one turn's verdict, and how far it came."""

    def __init__(self, settings: Settings, turn_id: str, tenant: str | None, advance: Advance) -> None:
        self._settings = settings
        self._names = TopicNames.of(settings)
        self._turn_id, self._tenant = turn_id, tenant
        self._advance = advance
        self._read = 0
        self._oldest_ms: int | None = None

    async def anywhere(self, since: datetime | None, conversation_id: str | None) -> Found:
        """From the newest verdict back; where a conversation is named, in the partitions first that its key leads to.
        Raises DataError, one line, when there is none."""
        first = await self._partitions_of(conversation_id) if conversation_id is not None else ()
        passes = [Backwards(first), Backwards(never=first)] if first else [Backwards()]
        for back in passes:
            while not back.over:
                if found := await self._one_of(self._verdicts(since, back.narrow)):
                    return found
        raise DataError(self._nowhere(since))

    async def behind(self, source: Source) -> Found:
        """The verdict of the turn that stands there: in the same partition, not before it. Raises DataError, one line,
        when the turn or its verdict is not there."""
        record = await record_at(self._settings, source)
        turn = None if record is None else decode_turn(record.value, LONGEST_TEXT)
        where = f"{source.topic}[{source.partition}]@{source.offset}"
        if record is None or not isinstance(turn, Turn):
            raise DataError(f"no turn stands at {where}: the topic keeps it no longer, or it is another's place")
        if turn.turn_id != self._turn_id:
            raise DataError(f"another turn stands at {where}: take --source from the verdict's `source`, or leave it")

        def there(spans: Spans) -> Spans:
            return {p: span for p, span in spans.items() if p == source.partition}

        # An hour before: the turn may have its producer's clock, the verdict has the worker's.
        found = await self._one_of(self._verdicts(instant(max(0, record.timestamp - 3_600_000)), there))
        if found is None:
            raise DataError(self._nowhere(None))
        return found

    def _verdicts(self, since: datetime | None, narrow: Callable[[Spans], Spans]) -> AsyncGenerator[list[Any], None]:
        return existing(self._settings, self._names.verdicts, None if since is None else milliseconds(since), narrow)

    async def _one_of(self, batches: AsyncGenerator[list[Any], None]) -> Found | None:
        async with aclosing(batches) as reading:
            async for records in reading:
                self._read += len(records)
                self._oldest_ms = min(self._oldest_ms or records[0].timestamp, records[0].timestamp)
                self._advance(f"searching {self._names.verdicts}", len(records))
                for record in records:
                    if is_of(record, self._turn_id, self._tenant) and (found := _found(record)) is not None:
                        return found
        return None

    async def _partitions_of(self, conversation_id: str) -> tuple[int, ...]:
        counts = await topics_admin.partitions(self._settings, [self._names.verdicts])
        return candidates(conversation_id.encode(), list(counts.values()), None)

    def _nowhere(self, since: datetime | None) -> str:
        back = f" back to {instant(self._oldest_ms):%Y-%m-%dT%H:%M:%SZ}" if self._oldest_ms is not None else ""
        why = "its topic keeps it no longer (retention.ms), no worker has read the turn yet"
        narrow = ", it is older than --since" if since is not None else ""
        whose = f" of tenant {self._tenant}" if self._tenant is not None else ""
        return (
            f"no verdict of turn {self._turn_id}{whose} among {self._read:,} records of {self._names.verdicts}{back}: "
            f"{why}{narrow}, or AEGIS_TOPIC_PREFIX is another ({self._settings.topic_prefix!r} here)"
        )


def _found(record: Any) -> Found | None:
    """None for what is no verdict."""
    verdict = decoded(_verdicts, record.value)
    if isinstance(verdict, Rejected):
        return None
    return Found(verdict, Source(record.topic, record.partition, record.offset))


def is_of(record: Any, turn_id: str, tenant: str | None) -> bool:
    """Whether a verdict or a label is of this turn. What is neither is not."""
    try:
        named = _named.decode(record.value or b"")
    except UNREADABLE:
        return False
    return named.turn_id == turn_id and tenant in (None, named.tenant)


async def record_at(settings: Settings, place: Source) -> Any | None:
    """The aiokafka ConsumerRecord that stands there; None where the topic keeps it no longer or never had it."""

    def one(spans: Spans) -> Spans:
        start, end = spans.get(place.partition, (0, 0))
        return {place.partition: (place.offset, place.offset + 1)} if start <= place.offset < end else {}

    async with aclosing(existing(settings, place.topic, narrow=one)) as batches:
        async for records in batches:
            for record in records:
                return record
    return None


async def text_of(settings: Settings, verdict: Verdict) -> str | None:
    """The turn's text as it stands in its topic; None where it is kept no longer."""
    record = await record_at(settings, verdict.source)
    turn = None if record is None else decode_turn(record.value, LONGEST_TEXT)
    mine = isinstance(turn, Turn) and (turn.tenant, turn.turn_id) == (verdict.tenant, verdict.turn_id)
    return turn.text if isinstance(turn, Turn) and mine else None


async def labels_of(settings: Settings, verdict: Verdict, since_ms: int, advance: Advance) -> list[Said]:
    """The labels that a turn got since, each once, in the order in which the broker had them: one that was forwarded
    in search of its turn stands in the topic more than once."""
    topic, found = TopicNames.of(settings).labels, list[Said]()
    async for records in existing(settings, topic, since_ms):
        advance(f"reading {topic}", len(records))
        for record in records:
            if is_of(record, verdict.turn_id, verdict.tenant):
                label = decode_label(record.value, record.key)
                if not isinstance(label, Rejected):
                    found.append(Said(label, record))
    once: dict[bytes, Said] = {}
    for said in sorted(found, key=lambda said: (said.record.timestamp, said.record.partition, said.record.offset)):
        once.setdefault(encode(said.label), said)
    return list(once.values())
