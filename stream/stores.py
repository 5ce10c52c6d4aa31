"""Where a partition's state lives on this machine: one rocksdict database a partition, or one dictionary a partition.

The changelog is the truth; a store is a copy of it up to `offset`. Data and offset change in one step, so a store is
never ahead of or behind what it says."""

import shutil
import struct
from collections.abc import Container, Iterable, Iterator
from pathlib import Path
from threading import Lock
from typing import Protocol

from rocksdict import BottommostLevelCompaction, CompactOptions, Options, Rdict, WriteBatch, WriteOptions

from stream.errors import StateError

_OFFSET_KEY, _PURGED_KEY = b"\0offset", b"\0purged"
_OFFSET = struct.Struct(">q")
EMPTY = -1
FOLDER = "state-"


class PartitionStore(Protocol):
    """A partition's state up to changelog offset `offset` (the last one applied; -1 when empty)."""

    offset: int

    def get(self, key: bytes) -> bytes | None: ...
    def apply(self, items: Iterable[tuple[bytes, bytes | None]], offset: int) -> None:
        """Apply changelog records in order (None deletes) and move to `offset`, in one step."""

    def scan(self, prefix: bytes) -> Iterator[tuple[bytes, bytes]]:
        """Records whose key starts with `prefix`, as they stood at the first step, less those deleted since; the store
        may be written to in between."""

    def clear(self) -> None: ...
    def close(self) -> None: ...

    purged: bytes
    """What `purge` was last told; empty when it never was."""

    def purge(self, prefixes: Iterable[bytes], mark: bytes) -> None:
        """Leave no byte on disk of what was deleted or replaced under these prefixes, and remember `mark`. Blocks."""


class MemoryStore:
    """One dictionary; recovery reads the whole changelog."""

    def __init__(self) -> None:
        self.offset = EMPTY
        self.purged = b""
        self._data: dict[bytes, bytes] = {}

    def get(self, key: bytes) -> bytes | None:
        return self._data.get(key)

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

    def purge(self, prefixes: Iterable[bytes], mark: bytes) -> None:
        self.purged = mark


class RocksStore:
    """One rocksdict database. Its write-ahead log is off: what a crash takes from the memtable, the offset goes with,
    and the changelog gives back."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._purging = Lock()
        self._closed = False
        self._unlogged = WriteOptions()
        self._unlogged.disable_wal = True  # type: ignore[method-assign,assignment]  # a property; its stub says method
        self._open()

    def _open(self) -> None:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        options = Options(raw_mode=True)
        options.create_if_missing(True)
        try:
            self._db = Rdict(str(self._path), options=options)
        except Exception as error:  # rocksdict raises bare Exception for a held lock and for a corrupt database alike
            raise StateError(
                f"the state under {self._path} cannot be opened ({str(error).splitlines()[0][:200]}):"
                " another worker uses this AEGIS_DATA_DIR, or delete the folder (the changelog restores it)"
            ) from error
        stored = self._db.get(_OFFSET_KEY)
        self.offset = _OFFSET.unpack(stored)[0] if stored is not None else EMPTY
        self.purged: bytes = self._db.get(_PURGED_KEY) or b""

    def get(self, key: bytes) -> bytes | None:
        value: bytes | None = self._db.get(key)
        return value

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
        """Waits for a purge that runs, about a second for 100 MB: one cut short would keep the memtable from the
        disk."""
        with self._purging:
            self._closed = True
            self._db.close()

    def purge(self, prefixes: Iterable[bytes], mark: bytes) -> None:
        thorough = CompactOptions()
        thorough.set_bottommost_level_compaction(BottommostLevelCompaction.force())
        with self._purging:
            if self._closed:
                return  # it is done where the folder is opened next
            self._db.flush(True)
            for prefix in prefixes:
                self._db.compact_range(prefix, prefix + b"\xff", thorough)
            self._db.put(_PURGED_KEY, mark, write_opt=self._unlogged)
            self._db.flush(True)
        self.purged = mark


class Stores:
    """Opens and closes the store of each partition that this worker owns."""

    def __init__(self, kind: str, directory: Path) -> None:
        self._kind = kind
        self._directory = directory

    def open(self, partition: int) -> PartitionStore:
        """Raises StateError if the database cannot be opened. A store in memory starts empty: its data left with the
        partition."""
        return MemoryStore() if self._kind == "memory" else RocksStore(self._directory / f"{FOLDER}{partition}")

    def drop_unpurged(self, opened: Container[int], mark: bytes) -> int:
        """Delete the databases on disk of partitions that are not open here, unless they were purged with this mark:
        what was forgotten since they were left may stand in them. Returns how many."""
        dropped = 0
        for path in self._directory.glob(f"{FOLDER}*") if self._kind != "memory" else ():
            number = path.name.removeprefix(FOLDER)
            if number.isdigit() and int(number) not in opened and not _is_purged(path, mark):
                shutil.rmtree(path)
                dropped += 1
        return dropped


def _is_purged(path: Path, mark: bytes) -> bool:
    """Whether a database that nobody has open was purged with this mark; one that cannot be opened was not."""
    try:
        store = RocksStore(path)
    except StateError:
        return False
    store.close()
    return store.purged == mark
