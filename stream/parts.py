"""What every partition has learned of every context, in the memory of every worker.

10,000 tenants in 12 partitions are over 100,000 records, of which most are read rarely. So they stay as bytes, packed,
and are decoded when a sum is wanted."""

import zlib
from collections.abc import Iterator

from ensemble.codec import checked, decode
from ensemble.moments import Moments, total
from stream.bounded import Bounded, bytes_of

LEVEL = 1
"""Of zlib: the equal numbers in a record are found by the fastest too; level 6 takes half as long again for 2 %."""


class Packed:
    """A record of moments, about a third of its size. Raises as `ensemble.codec.decode` does, when it is made, for
    another schema version and for bytes that are damaged."""

    __slots__ = ("_bytes",)

    def __init__(self, record: bytes) -> None:
        checked(record)
        self._bytes = zlib.compress(record, LEVEL)

    def __len__(self) -> int:
        return len(self._bytes)

    def record(self) -> bytes:
        """The bytes that were given."""
        return zlib.decompress(self._bytes)

    def moments(self) -> Moments:
        """Decoded anew each time, to the same bits."""
        return decode(self.record())


class Parts:
    """The newest record of each key and partition, and the sums over partitions that were asked for last, together of
    at most `limit` bytes."""

    def __init__(self, limit: int) -> None:
        self._parts: dict[str, dict[int, tuple[int, Packed]]] = {}
        self._totals: Bounded[str, Moments] = Bounded(limit, bytes_of)
        self.newest: dict[int, int] = {}
        """Of each partition, the last changelog offset that a record told of."""

    def __len__(self) -> int:
        return len(self._parts)

    def __contains__(self, key: str) -> bool:
        return key in self._parts

    def __iter__(self) -> Iterator[str]:
        return iter(self._parts)

    def take(self, key: str, partition: int, offset: int, record: bytes) -> Packed | None:
        """What one partition has learned as of changelog offset `offset`. None when that says nothing new: it is of an
        owner that was overtaken, or an owner that begins says what is known already, of every context."""
        known = self._parts.get(key, {}).get(partition)
        if known is not None:
            if known[0] > offset:
                return None
            if known[1].record() == record:
                self._keep(key, partition, offset, known[1])
                return None
        packed = Packed(record)  # what is refused here must leave no trace
        self._keep(key, partition, offset, packed)
        self._totals.pop(key)
        return packed

    def _keep(self, key: str, partition: int, offset: int, packed: Packed) -> None:
        self._parts.setdefault(key, {})[partition] = offset, packed
        self.newest[partition] = max(offset, self.newest.get(partition, offset))

    def total(self, key: str) -> Moments:
        """The sum over partitions, in the order of their numbers: workers with the same records agree bit for bit,
        whatever they have forgotten in between."""
        found = self._totals.get(key)
        if found is None:
            parts = self._parts.get(key, {})
            found = self._totals[key] = total(parts[number][1].moments() for number in sorted(parts))
        return found
