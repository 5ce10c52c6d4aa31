"""Both stores behave alike: data and offset move together, and survive what they say they survive."""

import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream.errors import StateError
from stream.rocks import EMPTY, Identity, RocksStore
from stream.stores import MemoryStore, PartitionStore, Stores

Open = Callable[[], PartitionStore]
OURS = Identity("ours", "ours-state-changelog", "topic", 0)


@pytest.fixture(params=["memory", "rocksdict"])
def opened(request: pytest.FixtureRequest, tmp_path: Path) -> Open:
    return lambda: Stores(request.param, tmp_path, "ours", "ours-state-changelog").open(0)


def test_a_new_store_is_empty(opened: Open) -> None:
    store = opened()
    assert (store.offset, store.get(b"a"), list(store.scan(b"p"))) == (EMPTY, None, [])
    store.close()


def test_data_and_offset_move_in_one_step(opened: Open) -> None:
    store = opened()
    store.apply([(b"a", b"1"), (b"b", b"2"), (b"a", None)], 7)
    assert (store.offset, store.get(b"a"), store.get(b"b")) == (7, None, b"2")
    store.close()


def test_a_scan_gives_the_records_of_a_prefix_while_the_store_is_written_to(opened: Open) -> None:
    store = opened()
    store.apply([(b"pa", b"1"), (b"pb", b"2"), (b"q", b"3")], 0)
    seen = []
    for key, value in store.scan(b"p"):
        store.apply([(b"pz" + key, b"9")], store.offset + 1)
        seen.append((key, value))
    assert sorted(seen) == [(b"pa", b"1"), (b"pb", b"2")]
    store.close()


def test_a_cleared_store_is_as_new(opened: Open) -> None:
    store = opened()
    store.apply([(b"a", b"1")], 3)
    store.clear()
    assert (store.offset, store.get(b"a")) == (EMPTY, None)
    store.apply([(b"a", b"2")], 4)
    assert (store.offset, store.get(b"a")) == (4, b"2")
    store.close()


def test_a_store_on_disk_is_there_again_after_a_clean_end(tmp_path: Path) -> None:
    store = RocksStore(tmp_path / "state-0", OURS)
    store.apply([(b"a", b"1")], 3)
    store.close()
    again = RocksStore(tmp_path / "state-0", OURS)
    assert (again.offset, again.get(b"a")) == (3, b"1")
    again.close()


def test_a_store_that_another_worker_holds_is_refused_with_what_to_do(tmp_path: Path) -> None:
    store = RocksStore(tmp_path / "state-0", OURS)
    with pytest.raises(StateError, match="AEGIS_DATA_DIR"):
        RocksStore(tmp_path / "state-0", OURS)
    store.close()


ITEMS = st.lists(st.tuples(st.binary(min_size=2, max_size=3), st.none() | st.binary(max_size=3)), max_size=8)


@given(st.lists(ITEMS, max_size=6))
def test_both_stores_hold_the_same_after_the_same_writes(writes: list[list[tuple[bytes, bytes | None]]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        memory, rocks = MemoryStore(), RocksStore(Path(folder) / "state-0", OURS)
        for offset, items in enumerate(writes):
            memory.apply(items, offset)
            rocks.apply(items, offset)
        held = {key for items in writes for key, _ in items}
        assert dict(memory.scan(b"")) == {key: value for key in held if (value := rocks.get(key)) is not None}
        for prefix in {key[:1] for key in held} - {b"\0", b"\xff"}:  # rocksdict keeps keys of its own there
            assert sorted(memory.scan(prefix)) == sorted(rocks.scan(prefix))
        assert memory.offset == rocks.offset
        rocks.close()


def files_with(folder: Path, text: bytes) -> list[str]:
    return [path.name for path in folder.rglob("*") if path.is_file() and text in path.read_bytes()]


def test_a_purged_store_has_no_byte_on_disk_of_what_was_deleted_or_replaced(tmp_path: Path) -> None:
    store = Stores("rocksdict", tmp_path, "ours", "ours-state-changelog").open(0)
    store.apply([(b"c1", b"a secret"), (b"c2", b"an older secret"), (b"p", b"kept")], 1)
    store.close()
    store = Stores("rocksdict", tmp_path, "ours", "ours-state-changelog").open(0)
    store.apply([(b"c1", None), (b"c2", b"said since")], 2)
    assert files_with(tmp_path, b"secret")
    store.purge([b"c"], b"mark")
    assert files_with(tmp_path, b"secret") == []
    store.close()
    again = Stores("rocksdict", tmp_path, "ours", "ours-state-changelog").open(0)
    assert (again.purged, again.offset, again.get(b"c2"), again.get(b"p")) == (b"mark", 2, b"said since", b"kept")
    again.close()
    again.purge([b"c"], b"later")  # its partition was given back meanwhile
    assert again.purged == b"mark"


def test_a_store_that_was_emptied_is_purged_as_any_other(tmp_path: Path) -> None:
    store = Stores("rocksdict", tmp_path, "ours", "ours-state-changelog").open(0)
    store.clear()
    store.purge([b"c"], b"mark")
    assert store.purged == b"mark"
    store.close()


def test_folders_of_partitions_that_live_elsewhere_go_unless_they_were_purged(tmp_path: Path) -> None:
    stores = Stores("rocksdict", tmp_path, "ours", "ours-state-changelog")
    (tmp_path / "state-x").mkdir()
    owned, *left = [stores.open(number) for number in range(4)]
    for store in left:
        store.apply([(b"c1", b"a secret")], 1)
    left[0].purge([b"c"], b"mark")
    left[1].purge([b"c"], b"an older mark")
    for store in left:
        store.close()
    assert stores.drop_unpurged({0}, b"mark") == 2
    assert sorted(path.name for path in tmp_path.iterdir()) == ["state-0", "state-1", "state-x"]
    owned.close()
    assert Stores("memory", tmp_path, "ours", "ours-state-changelog").drop_unpurged(set(), b"mark") == 0


@given(
    st.dictionaries(st.binary(min_size=1, max_size=3), st.binary(max_size=3), max_size=8),
    st.lists(st.binary(min_size=1, max_size=3), max_size=8),
)
def test_many_keys_are_answered_as_each_alone(items: dict[bytes, bytes], keys: list[bytes]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        for kind in ("memory", "rocksdict"):
            store = Stores(kind, Path(folder), "ours", "ours-state-changelog").open(0)
            store.apply(items.items(), 0)
            asked = [*keys, *items]
            assert store.get_many(asked) == [store.get(key) for key in asked]
            store.close()
