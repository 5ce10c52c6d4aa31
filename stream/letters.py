"""Dead letters as an operator sees them: what is told of one, and which are wanted. Pure.

What stands in a dead letter may come from anyone: a header that is no number is not there, a time that no calendar has
is the nearest one, and nothing here raises because of what a letter holds.

`record` is always an aiokafka ConsumerRecord of the topic of dead letters."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, NamedTuple

import msgspec
from msgspec import UNSET, UnsetType

from stream.dead_letters import DETAIL, OFFSET, PARTITION, REASON, REPLAYED, REPLAYS, TOPIC
from stream.routing import FIRST, STAMP, TRIED, TRIES

ABOUT: Final = (REASON, DETAIL, TOPIC, PARTITION, OFFSET)
"""The headers that make a message a dead letter."""
OURS: Final = frozenset((*ABOUT, REPLAYED, REPLAYS, TRIED, FIRST, TRIES, STAMP))
"""Every header that the worker writes or reads; all others are the source's own."""
NOWHERE: Final = -1
"""A partition or offset that a letter does not tell."""
_NUMBER: Final = re.compile(r"[0-9]{1,15}")
_FIRST_MS, _LAST_MS = -62_135_596_800_000, 253_402_300_799_999
"""Of the years 1 to 9999."""


class Place(NamedTuple):
    """Where a dead letter stands in its topic."""

    partition: int
    offset: int

    def __str__(self) -> str:
        return f"{self.partition}:{self.offset}"


class Letter(msgspec.Struct, frozen=True):
    """What is told of a dead letter: `topic`, `partition` and `offset` are its source's, `replays` how often it had
    been sent again before; `text` is the message itself, only where it was asked for."""

    place: str
    reason: str
    detail: str
    topic: str
    partition: int
    offset: int
    size: int
    replays: int
    at: datetime
    text: str | UnsetType = UNSET


class SourceOf(NamedTuple):
    """Messages of a topic, of one of its partitions, or one message."""

    topic: str
    partition: int | None = None
    offset: int | None = None

    def has(self, letter: Letter) -> bool:
        """Does the letter come from here?"""
        return (
            self.topic == letter.topic
            and self.partition in (None, letter.partition)
            and self.offset in (None, letter.offset)
        )


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which letters: each condition that is given must hold, and of each one of its values. Times in ms since 1970,
    `since` included, `until` not."""

    reasons: frozenset[str] = frozenset()
    sources: tuple[SourceOf, ...] = ()
    since_ms: int | None = None
    until_ms: int | None = None
    places: frozenset[Place] = frozenset()

    def __bool__(self) -> bool:
        """Is there any condition?"""
        return self != Wanted()

    def __call__(self, record: Any) -> bool:
        if self.places and Place(record.partition, record.offset) not in self.places:
            return False
        if self.since_ms is not None and record.timestamp < self.since_ms:
            return False
        if self.until_ms is not None and record.timestamp >= self.until_ms:
            return False
        if not self.reasons and not self.sources:
            return True
        told = letter(record)
        if self.reasons and told.reason not in self.reasons:
            return False
        return not self.sources or any(source.has(told) for source in self.sources)


def letter(record: Any, show_text: bool = False) -> Letter:
    """Where a dead letter came from and why. A source's own headers stand before ours, so the last of a name counts."""
    headers = {name: value for name, value in record.headers if name in OURS}
    value = record.value or b""
    return Letter(
        place=str(Place(record.partition, record.offset)),
        reason=text_of(headers, REASON, "unknown"),
        detail=text_of(headers, DETAIL, ""),
        topic=text_of(headers, TOPIC, "unknown"),
        partition=_number(headers, PARTITION, NOWHERE),
        offset=_number(headers, OFFSET, NOWHERE),
        size=len(value),
        replays=_number(headers, REPLAYS, 0),
        at=instant(record.timestamp),
        text=value.decode(errors="replace") if show_text else UNSET,
    )


def own_headers(headers: Sequence[tuple[str, bytes | None]]) -> list[tuple[str, bytes | None]]:
    """What the source's producer gave the message. The names that begin a search are not among them: a label whose turn
    was not found begins anew."""
    return [(name, value) for name, value in headers if name not in OURS]


def instant(ms: int) -> datetime:
    """A record's timestamp, or the nearest that a calendar has."""
    return datetime.fromtimestamp(min(max(ms, _FIRST_MS), _LAST_MS) / 1000, UTC)


def text_of(headers: Mapping[str, bytes | None], name: str, otherwise: str) -> str:
    """A header as text, whatever its bytes are."""
    value = headers.get(name)
    return otherwise if value is None else value.decode(errors="replace")


def _number(headers: Mapping[str, bytes | None], name: str, otherwise: int) -> int:
    """No more than 15 digits: an offset has fewer, and Python refuses thousands."""
    text = text_of(headers, name, "")
    return int(text) if _NUMBER.fullmatch(text) else otherwise
