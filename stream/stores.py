"""Where a partition's state lives on this machine: one rocksdict database a partition, or one dictionary a partition.

The changelog is the truth; a store is a copy of it up to `offset`. Data and offset change in one step, so a store is
never ahead of or behind what it says."""

import shutil
import struct
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Protocol

from rocksdict import BlockBasedOptions, Options, Rdict, WriteBatch, WriteOptions

from stream.errors import StateError

_OFFSET_KEY = b"\0offset"
_OFFSET = struct.Struct(">q")
EMPTY = -1
FILTER_BITS = 10
"""A key, in the Bloom filters on disk: nearly every turn is new, and without them each is looked for in several files.
At 10 bits one of a hundred absent keys is looked for in vain; a million pending turns take 1.2 MB."""


class PartitionStore(Protocol):
    """A partition's state up to changelog offset `offset` (the last one applied; -1 when empty)."""

    offset: int

    def get(self, key: bytes) -> bytes | None: ...
    def get_many(self, keys: list[bytes]) -> list[bytes | None]:
        """What `get` gives of each of these."""

    def apply(self, items: Iterable[tuple[bytes, bytes | None]], offset: int) -> None:
        """Apply changelog records in order (None deletes) and move to `offset`, in one step."""

    def scan(self, prefix: bytes) -> Iterator[tuple[bytes, bytes]]:
        """Records whose key starts with `prefix`, as they stood at the first step, less those deleted since; the store
        may be written to in between."""

    def clear(self) -> None: ...
    def close(self) -> None: ...


class MemoryStore:
    """One dictionary; recovery reads the whole changelog."""

    def __init__(self) -> None:
        self.offset = EMPTY
        self._data: dict[bytes, bytes] = {}

    def get(self, key: bytes) -> bytes | None:
        return self._data.get(key)

    def get_many(self, keys: list[bytes]) -> list[bytes | None]:
        return list(map(self._data.get, keys))

    def apply(self, items: Iterable[tuple[bytes, bytes | None]], offset: int) -> None:
        data = self._data
        for key, value in items:
            if value is None:
                data.pop(key, None)
            else:
                data[key] = value
        self.offset = offset

    def scan(self, prefix: bytes) -> Iterator[tuple[bytes, bytes]]:
        for key in [k for k in self._data if k.startswith(prefix)]:
            if (value := self._data.get(key)) is not None:
                yield key, value

    def clear(self) -> None:
        self._data.clear()
        self.offset = EMPTY

    def close(self) -> None:
        self._data = {}


class RocksStore:
    """One rocksdict database. Its write-ahead log is off: what a crash takes from the memtable, the offset goes with,
    and the changelog gives back."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._unlogged = WriteOptions()
        self._unlogged.disable_wal = True  # type: ignore[method-assign,assignment]  # a property; its stub says method
        self._open()

    def _open(self) -> None:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        options = Options(raw_mode=True)
        options.create_if_missing(True)
        tables = BlockBasedOptions()
        tables.set_bloom_filter(FILTER_BITS, block_based=False)
        options.set_block_based_table_factory(tables)
        try:
            self._db = Rdict(str(self._path), options=options)
        except Exception as error:  # rocksdict raises bare Exception for a held lock and for a corrupt database alike
            raise StateError(
                f"the state under {self._path} cannot be opened ({str(error).splitlines()[0][:200]}):"
                " another worker uses this AEGIS_DATA_DIR, or delete the folder (the changelog restores it)"
            ) from error
        stored = self._db.get(_OFFSET_KEY)
        self.offset = _OFFSET.unpack(stored)[0] if stored is not None else EMPTY

    def get(self, key: bytes) -> bytes | None:
        value: bytes | None = self._db.get(key)
        return value

    def get_many(self, keys: list[bytes]) -> list[bytes | None]:
        values: list[bytes | None] = self._db.get(keys)  # type: ignore[arg-type,assignment]  # raw mode: keys are bytes
        return values

    def apply(self, items: Iterable[tuple[bytes, bytes | None]], offset: int) -> None:
        batch = WriteBatch(raw_mode=True)
        for key, value in items:
            if value is None:
                batch.delete(key)
            else:
                batch.put(key, value)
        batch.put(_OFFSET_KEY, _OFFSET.pack(offset))
        self._db.write(batch, self._unlogged)
        self.offset = offset

    def scan(self, prefix: bytes) -> Iterator[tuple[bytes, bytes]]:
        items: Iterator[tuple[bytes, bytes]] = self._db.items(from_key=prefix)  # type: ignore[assignment]  # raw mode
        for key, value in items:
            if not key.startswith(prefix):
                return
            yield key, value

    def clear(self) -> None:
        self._db.close()
        shutil.rmtree(self._path)
        self._open()

    def close(self) -> None:
        self._db.close()


class Stores:
    """Opens and closes the store of each partition that this worker owns."""

    def __init__(self, kind: str, directory: Path) -> None:
        self._kind = kind
        self._directory = directory

    def open(self, partition: int) -> PartitionStore:
        """Raises StateError if the database cannot be opened. A store in memory starts empty: its data left with the
        partition."""
        return MemoryStore() if self._kind == "memory" else RocksStore(self._directory / f"state-{partition}")
