import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from hypothesis import given
from hypothesis import strategies as st

from experts.batching import plan
from experts.waiting import Channel, Pool

PATIENCE = 30.0


@dataclass
class Item:
    length: int
    number: int
    departed: bool = False


def filled(lengths: list[int]) -> Pool[Item]:
    pool: Pool[Item] = Pool(10**9)
    pool.put([Item(length, number) for number, length in enumerate(lengths)])
    pool.close()
    return pool


def batches(pool: Pool[Item], budget: int) -> list[list[Item]]:
    found = []
    while batch := pool.take(budget, 0.0):
        found.append(batch)
    return found


lengths_of_passages = st.lists(st.integers(1, 50), max_size=80)


@given(lengths_of_passages, st.integers(1, 200))
def test_every_passage_is_in_one_batch_which_keeps_the_budget_unless_it_is_alone(
    lengths: list[int], budget: int
) -> None:
    found = batches(filled(lengths), budget)
    assert sorted(item.number for batch in found for item in batch) == list(range(len(lengths)))
    for batch in found:
        assert len(batch) * max(item.length for item in batch) <= budget or len(batch) == 1


@given(lengths_of_passages, st.integers(1, 200))
def test_the_passage_that_waited_longest_is_in_the_next_batch(lengths: list[int], budget: int) -> None:
    waiting = set(range(len(lengths)))
    for batch in batches(filled(lengths), budget):
        numbers = {item.number for item in batch}
        assert min(waiting) in numbers
        waiting -= numbers


@given(lengths_of_passages, st.integers(1, 200))
def test_passages_that_come_by_length_are_batched_as_a_plan_over_all_of_them(lengths: list[int], budget: int) -> None:
    found = [[item.number for item in batch] for batch in batches(filled(sorted(lengths)), budget)]
    assert found == [batch.tolist() for batch in plan(sorted(lengths), budget)]


def test_the_departed_are_dropped_and_make_room() -> None:
    pool: Pool[Item] = Pool(10)
    pool.put([Item(10, 0, departed=True), Item(3, 1)])
    with ThreadPoolExecutor(1) as other:
        late = other.submit(pool.put, [Item(2, 2)])
        assert [item.number for item in pool.take(10, 0.0)] == [1]
        assert late.result(PATIENCE)
    assert [item.number for item in pool.take(10, 0.0)] == [2]


def test_a_full_pool_makes_the_next_put_wait_until_something_is_taken() -> None:
    pool: Pool[Item] = Pool(4)
    pool.put([Item(4, 0)])
    with ThreadPoolExecutor(1) as other:
        second = other.submit(pool.put, [Item(4, 1)])
        assert not second.done()
        assert [item.number for item in pool.take(4, 0.0)] == [0]
        assert second.result(PATIENCE)
        assert [item.number for item in pool.take(4, 0.0)] == [1]


def test_a_batch_that_is_not_full_waits_for_more_work_and_takes_it_along() -> None:
    pool: Pool[Item] = Pool(100)
    pool.put([Item(2, 0)])
    with ThreadPoolExecutor(1) as other:
        taken = other.submit(pool.take, 4, PATIENCE)
        pool.put([Item(2, 1)])
        assert [item.number for item in taken.result(PATIENCE)] == [0, 1]


def test_a_batch_waits_no_longer_than_it_may() -> None:
    pool: Pool[Item] = Pool(100)
    pool.put([Item(2, 0)])
    assert [item.number for item in pool.take(4, 0.001)] == [0]


def test_closing_ends_whoever_waits() -> None:
    pool: Pool[Item] = Pool(1)
    channel: Channel[int] = Channel(1)
    with ThreadPoolExecutor(4) as others:
        took, got = others.submit(pool.take, 1, 0.0), others.submit(channel.get)
        pool.close()
        channel.close()
        assert (took.result(PATIENCE), got.result(PATIENCE)) == ([], None)
    assert not pool.put([Item(1, 0)])
    assert not channel.put(1)


def test_what_is_in_a_closed_channel_can_still_be_taken() -> None:
    channel: Channel[int] = Channel(3)
    for number in (1, 2):
        assert channel.put(number)
    channel.close()
    assert [channel.get() for _ in range(3)] == [1, 2, None]


def test_a_full_channel_makes_a_put_wait_or_refuses_it_at_its_deadline() -> None:
    channel: Channel[int] = Channel(1)
    assert channel.put(1)
    assert not channel.put(2, deadline=0.0)
    done = threading.Event()

    def put() -> None:
        channel.put(3)
        done.set()

    thread = threading.Thread(target=put)
    thread.start()
    assert channel.get() == 1
    assert done.wait(PATIENCE)
    assert channel.get() == 3
    thread.join(PATIENCE)
