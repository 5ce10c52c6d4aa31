"""A partition's state: reads see writes at once, the store what was acknowledged, and a stranger ends the worker."""

import pytest
from aiokafka.errors import ProducerFenced

from ensemble import encode
from stream import state
from stream.errors import FencedError, WriteError
from stream.partitions import Partition
from support.partitions import Owned
from support.rounds import learned, random_rounds


async def test_a_write_is_seen_at_once_and_stored_when_it_is_acknowledged() -> None:
    owned = Owned()
    written = owned.partition.write({b"pa": b"1"})
    assert owned.partition.get(b"pa") == b"1"
    assert owned.partition.store.get(b"pa") is None
    await owned.log.acknowledge()
    assert written.done()
    assert owned.partition.store.get(b"pa") == b"1"
    assert owned.partition.store.offset == 1
    owned.check_restores([b"pa"])


async def test_a_later_write_of_a_key_stays_visible_when_an_earlier_one_is_acknowledged() -> None:
    owned = Owned()
    owned.partition.write({b"pa": b"1"})
    first = list(owned.log.waiting)
    owned.log.waiting.clear()
    owned.partition.write({b"pa": b"2"})
    second, owned.log.waiting = owned.log.waiting, first
    await owned.log.acknowledge()
    assert (owned.partition.get(b"pa"), owned.partition.store.get(b"pa")) == (b"2", b"1")
    owned.log.waiting = second
    await owned.log.acknowledge()
    assert owned.partition.store.get(b"pa") == b"2"


async def test_a_tombstone_is_seen_at_once() -> None:
    owned = Owned()
    owned.partition.write({b"pa": b"1"})
    owned.partition.write({b"pa": None})
    assert owned.partition.get(b"pa") is None
    await owned.log.acknowledge()
    assert owned.partition.get(b"pa") is None
    owned.check_restores([b"pa"])


async def test_many_keys_are_answered_as_each_alone_the_newest_write_first_acknowledged_or_not() -> None:
    owned = Owned()
    owned.partition.write({b"pa": b"1", b"pb": b"1", b"pc": b"1"})
    await owned.log.acknowledge()
    owned.partition.write({b"pa": b"2", b"pb": None})
    owned.partition.write({b"pa": b"3", b"pd": b"3"})
    keys = [b"pd", b"pa", b"pb", b"pc", b"pe", b"pa"]
    assert owned.partition.get_many(keys) == [b"3", b"3", None, b"1", None, b"3"]
    assert owned.partition.get_many(keys) == [owned.partition.get(key) for key in keys]
    await owned.log.acknowledge()
    assert owned.partition.get_many(keys) == [b"3", b"3", None, b"1", None, b"3"]


async def test_a_record_of_another_writer_ends_the_worker_and_nothing_is_stored() -> None:
    owned = Owned()
    written = owned.partition.write({b"pa": b"1"})
    await owned.log.acknowledge(shift=1)
    assert [type(error) for error in owned.errors] == [WriteError]
    assert owned.partition.store.get(b"pa") is None
    with pytest.raises(WriteError):
        await written


async def test_a_refused_write_ends_the_worker_as_fenced() -> None:
    owned = Owned()
    written = owned.partition.write({b"pa": b"1"})
    await owned.log.fail(ProducerFenced())
    assert [type(error) for error in owned.errors] == [FencedError]
    with pytest.raises(ProducerFenced):
        await written


async def test_a_partition_settles_when_its_writes_are_acknowledged() -> None:
    owned = Owned()
    assert await owned.partition.settle(0.0)
    owned.partition.write({b"pa": b"1"})
    assert not await owned.partition.settle(0.01)
    await owned.log.acknowledge()
    assert await owned.partition.settle(0.0)


def early(due_ms: int) -> bytes:
    return state.encode(state.Early(state.SCHEMA_VERSION, 0, due_ms, 0, 0, b"c", b"{}"))


async def test_early_labels_are_found_by_their_turn_and_when_they_are_due() -> None:
    owned = Owned()
    mine, other = state.early_key("t", "turn", "ann"), state.early_key("t", "turn2", "ann")
    owned.partition.write({mine: early(50), other: early(70)})
    assert owned.partition.early_of("t", "turn") == [mine]
    assert [key for key, _ in owned.partition.due_early(60)] == [mine]
    assert list(owned.partition.due_early(60)) == []
    owned.partition.write({mine: None})
    assert owned.partition.early_of("t", "turn") == []


async def test_a_recovered_partition_knows_its_early_labels_and_when_they_are_due() -> None:
    owned = Owned()
    mine = state.early_key("t", "turn", "ann")
    owned.partition.write({mine: early(50)})
    await owned.log.acknowledge()
    again = Owned()
    again.partition.store = owned.log.restored()
    again.partition.rebuild()
    assert again.partition.early_of("t", "turn") == [mine]
    assert [key for key, _ in again.partition.due_early(60)] == [mine]


async def test_ids_that_share_characters_have_keys_of_their_own() -> None:
    keys = {state.early_key(*ids) for ids in (("a", "bc", "d"), ("ab", "c", "d"), ("a", "b", "cd"), ("a", "bcd", ""))}
    assert len(keys) == 4
    assert state.early_prefix_of(state.early_key("ä", "b", "c")) == state.early_prefix("ä", "b")


async def test_a_partition_without_a_record_has_no_state() -> None:
    owned = Owned()
    assert not owned.partition.has_state()
    owned.partition.write({b"pa": b"1"})
    await owned.log.acknowledge()
    assert owned.partition.has_state()


async def test_what_a_full_cache_forgets_is_read_from_the_newest_write_acknowledged_or_not() -> None:
    owned = Owned()
    partition = Partition(0, "changelog", owned.partition.store, owned.log, owned.errors.append, sums_bytes=1)
    partition.next_offset = owned.log.end
    first, second = (learned(random_rounds(seed, 4)) for seed in (1, 2))
    for moments in (first, second):
        for context in ("a/user", "b/user", "c/user"):
            partition.moments[context] = moments
            partition.write({state.moments_key(context): encode(moments)})
            assert len(partition.moments) == 1
    for context in ("a/user", "b/user", "c/user"):
        assert partition.store.get(state.moments_key(context)) is None
        assert encode(partition.moments_of(context)) == encode(second)
    await owned.log.acknowledge()
    assert [encode(partition.moments_of(context)) for context in ("a/user", "c/user")] == [encode(second)] * 2


async def test_recovery_forgets_what_was_decoded_before() -> None:
    owned = Owned()
    owned.partition.moments["a/user"] = learned(random_rounds(1, 4))
    owned.partition.rebuild()
    assert owned.partition.moments_of("a/user").rounds == 0
