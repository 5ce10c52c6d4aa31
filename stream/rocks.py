"""One rocksdict database a partition, which says whose state it holds. One that cannot be trusted (damaged, or written
for something else) is thrown away with one line, and read again from the changelog."""

import errno
import os
import shutil
import struct
from collections.abc import Iterable, Iterator
from pathlib import Path
from threading import Lock

import msgspec
import structlog
from rocksdict import (
    BlockBasedOptions,
    BottommostLevelCompaction,
    CompactOptions,
    Options,
    Rdict,
    WriteBatch,
    WriteOptions,
)

from stream import state
from stream.errors import StateError, StateInUseError

log = structlog.get_logger()

_OFFSET_KEY = b"\0offset"
_IDENTITY_KEY = b"\0identity"
_PURGED_KEY = b"\0purged"
_END_KEY = b"\xff"
"""Behind every prefix: rocksdict ends an iteration at a damaged block without a word, so one that does not come to this
key was not whole."""
_OFFSET = struct.Struct(">q")
EMPTY = -1
LAYOUT = 2
"""Of the database: raised when what stands in it is arranged otherwise."""
UNFLUSHED_BYTES = 8 << 20
"""Of a partition's newest records in memory alone: a kill loses them from the database, and its successor reads them
from the changelog again (at most twice this: what is being written to disk counts too). Rocksdb's own 64 MiB would be
200,000 turns a partition; with 8 MiB, about 25,000, filling a database costs no more (measured)."""
DAMAGED = "DAMAGED"
"""A file that a worker leaves in a database whose blocks it could not read: opened again, it is made anew."""
_SURROUNDINGS = tuple(
    os.strerror(code)
    for code in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EACCES, errno.EPERM, errno.ENOTDIR)
) + tuple(os.strerror(code) for code in (errno.EMFILE, errno.ENFILE, errno.EIO, errno.ENOMEM))
"""What the machine says when not the database is wrong but where it lies: throwing it away would mend nothing."""


class Identity(msgspec.Struct, frozen=True):
    """Whose state a database holds. `topic_id`: Kafka's own of the changelog, which a topic made anew under its name,
    or one of another cluster, does not have; empty where the broker does not tell."""

    app_id: str
    changelog: str
    topic_id: str
    partition: int
    schema: int = state.SCHEMA_VERSION
    layout: int = LAYOUT

    def differs(self, stored: bytes | None) -> str | None:
        """Why a database with this identity stored in it is not ours; None if it is."""
        try:
            other = _identities.decode(stored) if stored is not None else None
        except msgspec.DecodeError:
            other = None
        if other is None or other.layout != self.layout:
            return "another version of this application arranged it otherwise"
        if (other.app_id, other.changelog) != (self.app_id, self.changelog):
            return f"it is the state of application {other.app_id}"
        if other.partition != self.partition:
            return f"it is the state of partition {other.partition}"
        if other.schema != self.schema:
            return f"its records have schema version {other.schema}"
        if other.topic_id and self.topic_id and other.topic_id != self.topic_id:
            return "its changelog is not the one of this cluster, or was deleted and made anew"
        return None


_identities = msgspec.json.Decoder(Identity)
FILTER_BITS = 10
"""A key, in the Bloom filters on disk: nearly every turn is new, and without them each is looked for in several files.
At 10 bits one of a hundred absent keys is looked for in vain; a million pending turns take 1.2 MB."""


class RocksStore:
    """One rocksdict database. Its write-ahead log is off: what a crash takes from the memtable, the offset goes with,
    and the changelog gives back. Every method raises StateError, with what to do, when the disk or the data fail."""

    def __init__(self, path: Path, identity: Identity) -> None:
        self._path = path
        self._purging = Lock()
        self._identity = identity
        self._unlogged = WriteOptions()
        self._unlogged.disable_wal = True  # type: ignore[method-assign,assignment]  # a property; its stub says method
        self._open()

    def _open(self) -> None:
        self._closed = False
        try:
            self._path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise self._unusable(error) from error
        if (self._path / DAMAGED).exists():
            self._discard("a block of it could not be read")
        try:
            self._connect()
            why = self._is_not_ours()
        except StateError:
            raise
        except Exception as error:  # noqa: BLE001  # rocksdict raises it bare, for everything
            why = self._why_damaged(error)
        if why is not None:
            self._discard(why)
            try:
                self._connect()
                self._is_not_ours()
            except Exception as error:
                raise self._unusable(error) from error

    def _connect(self) -> None:
        options = Options(raw_mode=True)
        # Where files are but the one that names the current ones, rocksdb would begin anew among the old.
        options.create_if_missing(not any(self._path.iterdir()))
        options.set_write_buffer_size(UNFLUSHED_BYTES)
        options.set_keep_log_file_num(2)
        tables = BlockBasedOptions()
        tables.set_bloom_filter(FILTER_BITS, block_based=False)
        options.set_block_based_table_factory(tables)
        self._db = Rdict(str(self._path), options=options)

    def _is_not_ours(self) -> str | None:
        """Take up what stands there, if it is ours; else closes it and returns why."""
        stored, identity = self._db.get(_OFFSET_KEY), self._db.get(_IDENTITY_KEY)
        if stored is None and identity is None:
            self.offset, self.purged = EMPTY, b""
            self._db.put(_END_KEY, b"", write_opt=self._unlogged)
            self._db.put(_IDENTITY_KEY, msgspec.json.encode(self._identity), write_opt=self._unlogged)
            return None
        why = self._identity.differs(identity)
        if why is not None:
            self._db.close()
            return why
        self.offset = _OFFSET.unpack(stored)[0] if stored is not None else EMPTY
        self.purged = self._db.get(_PURGED_KEY) or b""
        return None

    def _why_damaged(self, error: Exception) -> str:
        """Why it is to be made anew; raises StateError where that would mend nothing."""
        reason = _first_line(error)
        if "/LOCK: " in reason:
            raise StateInUseError(
                f"the state under {self._path} is open in another worker ({reason}):"
                " give each worker an AEGIS_DATA_DIR of its own"
            ) from error
        if any(said in reason for said in _SURROUNDINGS):
            raise self._unusable(error) from error
        return reason

    def _discard(self, why: str) -> None:
        log.warning(
            "state_discarded",
            partition=self._identity.partition,
            reason=why,
            remedy="nothing to do: it is read from the changelog again",
        )
        try:
            shutil.rmtree(self._path)
            self._path.mkdir(parents=True)
        except OSError as error:
            raise self._unusable(error) from error

    def _unusable(self, error: Exception) -> StateError:
        return unusable(self._path, error)

    def _failed(self, error: Exception) -> StateError:
        """What a failed read or write ends the worker with."""
        reason = _first_line(error)
        if any(said in reason for said in _SURROUNDINGS) or not reason.startswith("Corruption"):
            return self._unusable(error)
        try:
            (self._path / DAMAGED).touch()
        except OSError as unmarked:
            return self._unusable(unmarked)
        return StateError(
            f"the state under {self._path} is damaged ({reason}): start the worker again, which reads it from the"
            " changelog anew"
        )

    def get(self, key: bytes) -> bytes | None:
        try:
            value: bytes | None = self._db.get(key)
        except Exception as error:
            raise self._failed(error) from error
        return value

    def get_many(self, keys: list[bytes]) -> list[bytes | None]:
        try:
            values: list[bytes | None] = self._db.get(keys)  # type: ignore[arg-type,assignment]  # raw mode: of bytes
        except Exception as error:
            raise self._failed(error) from error
        return values

    def apply(self, items: Iterable[tuple[bytes, bytes | None]], offset: int) -> None:
        batch = WriteBatch(raw_mode=True)
        put, delete = batch.put, batch.delete
        for key, value in items:
            if value is None:
                delete(key)
            else:
                put(key, value)
        put(_OFFSET_KEY, _OFFSET.pack(offset))
        try:
            self._db.write(batch, self._unlogged)
        except Exception as error:
            raise self._failed(error) from error
        self.offset = offset

    def scan(self, prefix: bytes) -> Iterator[tuple[bytes, bytes]]:
        try:
            items: Iterator[tuple[bytes, bytes]] = self._db.items(from_key=prefix)  # type: ignore[assignment]  # raw
            for key, value in items:
                if not key.startswith(prefix):
                    return
                yield key, value
        except Exception as error:
            raise self._failed(error) from error
        raise self._failed(ValueError("Corruption: a block could not be read"))

    def count(self) -> int:
        try:
            return self._db.property_int_value("rocksdb.estimate-num-keys") or 0
        except Exception as error:
            raise self._failed(error) from error

    def clear(self) -> None:
        self.close()
        try:
            shutil.rmtree(self._path)
        except OSError as error:
            raise self._unusable(error) from error
        self._open()

    def close(self) -> None:
        """Waits for a purge that runs, about a second for 100 MB: one cut short would keep the memtable from the
        disk. What cannot be written any more is read from the changelog again."""
        with self._purging:
            self._closed = True
            try:
                self._db.close()
            except Exception as error:  # noqa: BLE001  # as above
                log.warning("state_not_flushed", partition=self._identity.partition, reason=_first_line(error))

    def purge(self, prefixes: Iterable[bytes], mark: bytes) -> None:
        thorough = CompactOptions()
        thorough.set_bottommost_level_compaction(BottommostLevelCompaction.force())
        with self._purging:
            if self._closed:
                return  # it is done where the folder is opened next
            try:
                self._db.flush(True)
                for prefix in prefixes:
                    self._db.compact_range(prefix, prefix + b"\xff", thorough)
                self._db.put(_PURGED_KEY, mark, write_opt=self._unlogged)
                self._db.flush(True)
            except Exception as error:
                raise self._failed(error) from error
        self.purged = mark


def unusable(path: Path, error: Exception) -> StateError:
    """What the worker ends with when nothing can be kept here."""
    return StateError(
        f"the state under {path} cannot be used ({_first_line(error)}): make room there and allow writing, or set"
        " another AEGIS_DATA_DIR, and start again: the changelog has everything that was acknowledged"
    )


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:200]
