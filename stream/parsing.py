"""What aiokafka makes of the bytes of a fetch, with two changes. Only this file touches its parsing of records.

Records whose header names are not UTF-8 are read like any other. Kafka takes any bytes as a header's name, and so do
Java's clients. aiokafka decodes names strictly and raises, for ever at the same offset: one such record would stop its
partition for good. `install` has it read those batches again with what is not UTF-8 written as `\\xff`; all other
batches are read by its own parser as before.

A record is a struct that Python's collector does not walk: the thousands that wait in buffers took it a twentieth of a
worker's time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, SupportsIndex, overload

from aiokafka.consumer import fetcher
from aiokafka.record.default_records import _DefaultRecordBatchPy
from aiokafka.record.memory_records import MemoryRecords, _MemoryRecordsPy
from msgspec import Struct

_strictly = fetcher.PartitionRecords._unpack_records


class Record(Struct, gc=False):
    """Has the fields of `aiokafka.ConsumerRecord`, in whose place it comes."""

    topic: str
    partition: int
    offset: int
    timestamp: int
    timestamp_type: int
    key: Any
    value: Any
    checksum: int | None
    serialized_key_size: int
    serialized_value_size: int
    headers: Sequence[tuple[str, bytes]]


def install() -> None:
    """For all of aiokafka's consumers of this process; once is enough, again does no harm."""
    fetcher.MemoryRecords = _Kept
    fetcher.ConsumerRecord = Record
    fetcher.PartitionRecords._unpack_records = _unpacked


def _unpacked(part: Any) -> Iterator[Any]:
    """In place of `PartitionRecords._unpack_records`, which skips the records of a batch that were given out before."""
    try:
        yield from _strictly(part)
    except UnicodeDecodeError:
        part._records = _Lenient(part._records.fetched, part.next_fetch_offset)
        yield from _strictly(part)


class _Kept(MemoryRecords):  # type: ignore[misc]  # aiokafka picks the class when it is imported
    """What one fetch brought, with its bytes kept until the records were given out."""

    def __init__(self, fetched: bytes) -> None:
        super().__init__(fetched)
        self.fetched = fetched


class _Lenient:
    """The batches of one fetch from the one that holds offset `start` on, by aiokafka's parser in Python with lenient
    names. Those before it were given out: met again, they would move the reader back."""

    def __init__(self, fetched: bytes, start: int) -> None:
        self._slices = _MemoryRecordsPy(fetched)
        self._next = self._read()
        while self._next is not None and self._next.next_offset <= start:
            self._next = self._read()

    def has_next(self) -> bool:
        return self._next is not None

    def next_batch(self) -> Any:
        batch, self._next = self._next, self._read()
        return batch

    def _read(self) -> Any:
        view = self._slices._next_slice
        batch = self._slices.next_batch()
        return batch if view is None or view[_MemoryRecordsPy.MAGIC_OFFSET] < 2 else _LenientBatch(view)


class _LenientBatch(_DefaultRecordBatchPy):  # type: ignore[misc]
    _buffer: bytearray

    def __iter__(self) -> _LenientBatch:
        super().__iter__()
        self._buffer = _LenientBytes(self._buffer)
        return self


class _LenientBytes(bytearray):
    """Bytes, and parts of them, that decode whatever they hold."""

    @overload
    def __getitem__(self, place: SupportsIndex) -> int: ...
    @overload
    def __getitem__(self, place: slice) -> bytearray: ...
    def __getitem__(self, place: SupportsIndex | slice) -> int | bytearray:
        found = super().__getitem__(place)
        return _LenientBytes(found) if isinstance(found, bytearray) else found

    def decode(self, encoding: str = "utf-8", errors: str = "backslashreplace") -> str:
        return super().decode(encoding, errors)
