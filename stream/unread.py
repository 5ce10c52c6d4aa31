"""Which records are new, of a topic that is read in several passes."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any


@dataclass(slots=True)
class Unread:
    """How far each partition was read."""

    _read: dict[int, int] = field(default_factory=dict)

    def hand(self, records: Iterable[Any], take: Callable[[Any], None]) -> bool:
        """Those of aiokafka's records, in offset order within a partition, that were not handed on before; whether any
        was new."""
        fresh = [record for record in records if record.offset > self._read.get(record.partition, -1)]
        for record in fresh:
            self._read[record.partition] = record.offset
            take(record)
        return bool(fresh)
