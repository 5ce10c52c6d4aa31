"""Where a partition's state lives on this machine: one rocksdict database a partition, or one dictionary a partition.

The changelog is the truth; a store is a copy of it up to `offset`. Data and offset change in one step, so a store is
never ahead of or behind what it says."""

import os
import shutil
from collections.abc import Container, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from stream.errors import StateError, StateInUseError
from stream.rocks import EMPTY, Identity, RocksStore, unusable

FOLDER = "state-"


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

    def count(self) -> int:
        """About how many records there are."""

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
        for key in list(self._data):  # 8 ms for a million; choosing here would hold the loop for ten times that
            if key.startswith(prefix) and (value := self._data.get(key)) is not None:
                yield key, value

    def count(self) -> int:
        return len(self._data)

    def clear(self) -> None:
        self._data.clear()
        self.offset = EMPTY

    def close(self) -> None:
        self._data = {}

    def purge(self, prefixes: Iterable[bytes], mark: bytes) -> None:
        self.purged = mark


@dataclass
class Stores:
    """Opens the store of each partition that this worker owns or keeps a standby of. `topic_id` is set once the broker
    has been asked."""

    kind: str
    directory: Path
    app_id: str
    changelog: str
    topic_id: str = field(default="")

    def prepare(self) -> None:
        """Make the folder, which Faust wants for a state in memory too. Raises StateError if nothing can be written."""
        try:
            self.directory.mkdir(parents=True, exist_ok=True)
            probe = self.directory / f".probe-{os.getpid()}"
            probe.touch()
            probe.unlink()
        except OSError as error:
            raise unusable(self.directory, error) from error

    def open(self, partition: int) -> PartitionStore:
        """Raises StateError if the database cannot be opened. A store in memory starts empty: its data left with the
        partition."""
        if self.kind == "memory":
            return MemoryStore()
        identity = Identity(self.app_id, self.changelog, self.topic_id, partition)
        return RocksStore(self.directory / f"{FOLDER}{partition}", identity)

    def drop_unpurged(self, opened: Container[int], mark: bytes) -> int:
        """Delete the databases on disk of partitions that are not open here, unless they were purged with this mark:
        what was forgotten since they were left may stand in them. Returns how many."""
        dropped = 0
        for path in self.directory.glob(f"{FOLDER}*") if self.kind != "memory" else ():
            number = path.name.removeprefix(FOLDER)
            if number.isdigit() and int(number) not in opened and not self._is_purged(int(number), mark):
                shutil.rmtree(path)
                dropped += 1
        return dropped

    def _is_purged(self, partition: int, mark: bytes) -> bool:
        """Whether a database was purged with this mark, or is another worker's to purge; one that cannot be opened was
        not."""
        try:
            store = self.open(partition)
        except StateInUseError:
            return True
        except StateError:
            return False
        store.close()
        return store.purged == mark
