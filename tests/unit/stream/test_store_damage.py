"""A database that cannot be trusted is made anew with one line; a place that cannot hold one is refused."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from structlog.testing import capture_logs

from stream.errors import StateError
from stream.rocks import DAMAGED, EMPTY, UNFLUSHED_BYTES, Identity, RocksStore
from stream.stores import Stores

OURS = Identity("ours", "ours-state-changelog", "topic", 0)
RECORDS = 3000


def filled(path: Path) -> None:
    """A database with tables on disk."""
    store = RocksStore(path, OURS)
    for offset in range(3):
        store.apply([(b"p%d" % number, os.urandom(300)) for number in range(RECORDS)], offset)
    store.close()


def opened(path: Path, identity: Identity = OURS) -> tuple[RocksStore, list[str]]:
    """The database, and why it was made anew, if it was."""
    with capture_logs() as lines:
        store = RocksStore(path, identity)
    return store, [line["reason"] for line in lines if line["event"] == "state_discarded"]


def table(path: Path) -> Path:
    return next(path.glob("*.sst"))


def shortened(file: Path) -> None:
    os.truncate(file, file.stat().st_size // 2)


DAMAGES: dict[str, Callable[[Path], Any]] = {
    "no CURRENT": lambda path: (path / "CURRENT").unlink(),
    "CURRENT of other bytes": lambda path: (path / "CURRENT").write_bytes(b"\0\xff"),
    "no MANIFEST": lambda path: next(path.glob("MANIFEST-*")).unlink(),
    "an empty MANIFEST": lambda path: next(path.glob("MANIFEST-*")).write_bytes(b""),
    "no table": lambda path: table(path).unlink(),
    "half a table": lambda path: shortened(table(path)),
    "another file in place of the folder's": lambda path: [file.write_bytes(b"x") for file in path.iterdir()],
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_database_is_made_anew_with_one_line(tmp_path: Path, damage: str) -> None:
    filled(tmp_path / "state-0")
    DAMAGES[damage](tmp_path / "state-0")
    store, why = opened(tmp_path / "state-0")
    assert (store.offset, len(why)) == (EMPTY, 1)
    store.apply([(b"pa", b"1")], 7)
    store.close()
    again, why = opened(tmp_path / "state-0")
    assert (again.offset, again.get(b"pa"), why) == (7, b"1", [])
    again.close()


def test_a_block_that_turns_out_damaged_later_ends_the_worker_and_the_next_makes_the_database_anew(
    tmp_path: Path,
) -> None:
    path = tmp_path / "state-0"
    filled(path)
    content = bytearray(table(path).read_bytes())
    content[20_000] ^= 0xFF  # in the data; what is read at the opening stands at the end
    table(path).write_bytes(content)
    store, why = opened(path)
    assert (store.offset, why) == (2, [])
    with pytest.raises(StateError, match=r"is damaged \(Corruption: .*start the worker again"):
        list(store.scan(b"p"))
    assert (path / DAMAGED).exists()
    store.close()
    again, why = opened(path)
    assert (again.offset, len(why)) == (EMPTY, 1)
    again.close()


@pytest.mark.parametrize(
    ("other", "why"),
    [
        ({"app_id": "theirs"}, "application ours"),
        ({"changelog": "theirs"}, "application ours"),
        ({"topic_id": "another"}, "made anew"),
        ({"partition": 5}, "partition 0"),
        ({"schema": 99}, "schema version 1"),
        ({"layout": 99}, "another version"),
    ],
)
def test_a_database_of_something_else_is_made_anew(tmp_path: Path, other: dict[str, Any], why: str) -> None:
    filled(tmp_path / "state-0")
    store, said = opened(tmp_path / "state-0", msgspec.structs.replace(OURS, **other))
    assert store.offset == EMPTY
    assert why in said[0]
    store.close()


def test_a_broker_that_tells_no_topic_ids_makes_no_state_suspect(tmp_path: Path) -> None:
    filled(tmp_path / "state-0")
    store, why = opened(tmp_path / "state-0", msgspec.structs.replace(OURS, topic_id=""))
    assert (store.offset, why) == (2, [])
    store.close()


def test_a_database_of_before_identities_is_made_anew(tmp_path: Path) -> None:
    assert OURS.differs(None) == OURS.differs(b"{}") == "another version of this application arranged it otherwise"


@pytest.mark.parametrize("kind", ["memory", "rocksdict"])
def test_a_place_where_nothing_can_be_written_is_refused_at_the_start(tmp_path: Path, kind: str) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StateError, match="set another AEGIS_DATA_DIR"):
        Stores(kind, tmp_path / "file" / "state", "ours", "ours-state-changelog").prepare()
    with pytest.raises(StateError, match="set another AEGIS_DATA_DIR"):
        RocksStore(tmp_path / "file" / "state-0", OURS)


def child(path: Path, limit: int | None = None) -> subprocess.Popen[str]:
    """A process that writes records of 1 kB, a thousand an offset, and says the offset after each; no file of its own
    may grow beyond `limit` bytes."""
    lines = (
        "import os, sys",
        "from pathlib import Path",
        "from stream.errors import StateError",
        "from stream.rocks import Identity, RocksStore",
        f"store = RocksStore(Path({str(path)!r}), Identity('ours', 'ours-state-changelog', 'topic', 0))",
        "try:",
        "    for offset in range(100_000):",
        "        store.apply([(b'p%d-%d' % (offset, n), os.urandom(1000)) for n in range(1000)], offset)",
        "        print(offset, flush=True)",
        "except StateError as error:",
        "    print(error, flush=True)",
    )

    def limited() -> None:
        if limit is not None:
            resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))

    return subprocess.Popen(
        [sys.executable, "-c", "\n".join(lines)], stdout=subprocess.PIPE, text=True, preexec_fn=limited
    )


def test_a_disk_that_takes_no_more_is_told_and_what_it_took_is_whole(tmp_path: Path) -> None:
    process = child(tmp_path / "state-0", limit=3 << 20)
    said, _ = process.communicate(timeout=100)
    last = said.splitlines()[-1]
    assert "cannot be used (" in last
    assert "make room there" in last
    check_whole(tmp_path / "state-0")


def test_a_kill_loses_no_more_than_the_memory_that_is_not_on_disk_and_never_a_part_of_a_step(tmp_path: Path) -> None:
    process, written = child(tmp_path / "state-0"), 0
    assert process.stdout is not None
    for line in process.stdout:
        written = int(line)
        if written == 40:
            process.send_signal(signal.SIGKILL)
            break
    process.communicate(timeout=100)
    kept = check_whole(tmp_path / "state-0")
    # The pipe holds what was said after the kill was decided: a step or two more than was read.
    assert (written - kept) * 1_000_000 <= 2 * UNFLUSHED_BYTES + 1_000_000


def check_whole(path: Path) -> int:
    """Data and offset agree, and the database goes on; returns the offset."""
    store, why = opened(path)
    assert why == []
    offsets = {int(key[1:].split(b"-")[0]) for key, _ in store.scan(b"p")}
    assert offsets == set(range(store.offset + 1))
    offset = store.offset
    store.apply([(b"q", b"1")], offset + 1)
    store.close()
    return offset
