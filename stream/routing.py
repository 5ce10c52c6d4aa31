"""Which partitions a key can have had: where a label looks for its turn."""

import re
import zlib
from collections.abc import Sequence
from typing import NamedTuple

from aiokafka.partitioner import murmur2

from stream.dead_letters import REASON, REPLAYED, REPLAYS

TRIED, FIRST, TRIES, STAMP = "aegis-tried", "aegis-first", "aegis-tries", "aegis-at"
MOST_HEADER_BYTES = 4_096
"""Of a header of ours. A search tries a handful of partitions; a list as long as a message may be would be forwarded
longer still, and the broker's refusal would end the worker at that label again and again."""
_NUMBERS = re.compile(rb"\d{1,15}(,\d{1,15})*")
_PLACE = re.compile(rb"\d{1,15}:\d{1,15}")


class Journey(NamedTuple):
    """How far a label has come in its search, carried in its headers: partitions tried, in order; when the search began
    (ms since 1970, 0 for now), how often it was given up for a pause, and the timestamp of its first record (0: this
    one's). Of one that was a dead letter: how often it was sent again, and the place of the last dead letter."""

    tried: tuple[int, ...] = ()
    first_ms: int = 0
    tries: int = 0
    timestamp_ms: int = 0
    replays: int = 0
    replayed: str = ""

    @classmethod
    def of(cls, headers: Sequence[tuple[str, bytes]]) -> "Journey":
        """Read from a record's headers. They may come from anyone: what is no number is not there."""
        names = {name for name, _ in headers}
        if REASON in names:
            return cls()  # a dead letter that somebody sends again begins anew
        ours = [(name, value or b"") for name, value in headers if name in (TRIED, FIRST, TRIES, STAMP, REPLAYS)]
        found = {name: [int(n) for n in value.split(b",")] for name, value in ours if _are_numbers(value)}
        tried = tuple(dict.fromkeys(found.get(TRIED, ())))
        places = [value.decode() for name, value in headers if name == REPLAYED and _PLACE.fullmatch(value or b"")]
        first, tries, stamp, replays = (found.get(name, [0])[0] for name in (FIRST, TRIES, STAMP, REPLAYS))
        return cls(tried, first, tries, stamp, replays, places[-1] if places else "")

    def headers(self) -> list[tuple[str, bytes]]:
        tried = ",".join(map(str, self.tried))
        search = ((TRIED, tried), (FIRST, self.first_ms), (TRIES, self.tries), (STAMP, self.timestamp_ms))
        replay = ((REPLAYED, self.replayed), (REPLAYS, self.replays))
        return [(name, str(value).encode()) for name, value in (*search, *replay) if value]


def _are_numbers(value: bytes) -> bool:
    return len(value) <= MOST_HEADER_BYTES and _NUMBERS.fullmatch(value) is not None


def candidates(key: bytes, counts: Sequence[int], named: int | None) -> tuple[int, ...]:
    """Partitions in which a turn with this key can stand: the one that its label names, then those that murmur2 (Java,
    aiokafka, kafka-python) and CRC32 (librdkafka's default) give under each partition count so far, newest first."""
    mine, crc = murmur2(key) & 0x7FFFFFFF, zlib.crc32(key)
    hashed = (value % count for count in counts for value in (mine, crc))
    return tuple(dict.fromkeys([*([named] if named is not None else []), *hashed]))


def next_stop(here: int, journey: Journey, possible: Sequence[int], partitions: int) -> tuple[int | None, Journey]:
    """Where a label that was not found `here` goes: the next candidate, then home to the partition it came to first;
    None when it stays here as early."""
    tried = journey.tried if here in journey.tried else (*journey.tried, here)
    onward = journey._replace(tried=tried)
    for partition in possible:
        if partition < partitions and partition not in tried:
            return partition, onward
    home = tried[0]
    return (home, onward) if home != here and home < partitions and here == tried[-1] else (None, onward)
