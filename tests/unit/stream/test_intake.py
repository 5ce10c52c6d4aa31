"""Which records come next, and what may be committed, under every schedule of fetches, drops and seeks."""

import random

import pytest

from stream.intake import Intake, Order


def take(intake: Intake, first: int, last: int, seeks: int = 0) -> Order:
    order = intake.take(first, last, seeks)
    if order is Order.TAKE:
        intake.taken(last)
    intake.validate()
    return order


def test_batches_in_sequence_are_taken() -> None:
    intake = Intake.at(1, 10)
    assert [take(intake, 10, 19), take(intake, 20, 24)] == [Order.TAKE, Order.TAKE]
    assert intake.next == 25


def test_a_batch_seen_before_is_dropped() -> None:
    intake = Intake.at(1, 10)
    take(intake, 10, 19)
    assert take(intake, 10, 19) is Order.DROP


def test_an_overlapping_batch_is_taken_for_its_new_records() -> None:
    intake = Intake.at(1, 10)
    take(intake, 10, 14)
    assert take(intake, 12, 19) is Order.TAKE
    assert intake.next == 20


def test_a_missing_batch_is_read_again() -> None:
    intake = Intake.at(1, 10)
    assert take(intake, 15, 19) is Order.SEEK_BACK
    assert intake.seek_begins() == 10


def test_what_was_fetched_before_a_seek_proves_nothing() -> None:
    intake = Intake.at(1, 10)
    take(intake, 15, 19)
    intake.seek_begins()
    assert take(intake, 20, 24) is Order.DROP
    intake.seek_done()
    assert take(intake, 20, 24, seeks=0) is Order.DROP


def test_the_first_fetch_after_a_seek_that_starts_beyond_it_shows_a_real_gap() -> None:
    intake = Intake.at(1, 10)
    take(intake, 15, 19)
    intake.seek_begins()
    intake.seek_done()
    intake.deliver(15, 19, seeks=1)
    assert take(intake, 15, 19, seeks=1) is Order.TAKE


def test_a_later_fetch_after_a_seek_that_starts_beyond_it_shows_a_hole() -> None:
    intake = Intake.at(1, 10)
    take(intake, 15, 19)
    intake.seek_begins()
    intake.seek_done()
    intake.deliver(10, 14, seeks=1)  # and it never arrives
    intake.deliver(15, 19, seeks=1)
    assert take(intake, 15, 19, seeks=1) is Order.SEEK_BACK


def test_a_hole_at_the_end_of_the_traffic_is_found_at_the_second_look() -> None:
    intake = Intake.at(1, 10)
    intake.deliver(10, 14, seeks=0)
    assert [intake.is_hole_at_rest(), intake.is_hole_at_rest()] == [False, True]


def test_nothing_is_a_hole_while_records_arrive() -> None:
    intake = Intake.at(1, 10)
    for first in range(10, 50, 5):
        intake.deliver(first, first + 4, seeks=0)
        assert not intake.is_hole_at_rest()
        take(intake, first, first + 4)


def test_only_what_is_processed_may_be_committed() -> None:
    intake = Intake.at(1, 10)
    take(intake, 10, 19)
    assert intake.done == 10
    intake.processed(14)
    intake.validate()
    assert intake.done == 15


def test_work_that_ends_out_of_order_is_a_bug() -> None:
    intake = Intake.at(1, 10)
    take(intake, 10, 19)
    intake.processed(19)
    with pytest.raises(AssertionError, match="processed after"):
        intake.processed(12)


@pytest.mark.parametrize("seed", range(200))
def test_every_record_is_taken_once_whatever_is_dropped_on_the_way(seed: int) -> None:
    """A log with gaps, a fetcher that reads on, a queue that loses batches, and seeks that end late."""
    chance = random.Random(seed)
    log = [offset for offset in range(60) if chance.random() < 0.9]
    intake, position, queue, taken = Intake.at(1, 0), 0, list[tuple[list[int], int]](), list[int]()
    for step in range(3000):
        if chance.random() < 0.5 and not intake.seeking:
            batch = [offset for offset in log if offset >= position][: chance.randint(1, 6)]
            if batch:
                position = batch[-1] + 1
                intake.deliver(batch[0], batch[-1], intake.seeks)
                if chance.random() < 0.8 or step > 2000:
                    queue.append((batch, intake.seeks))
        if queue and chance.random() < 0.5:
            batch, seeks = queue.pop(0)
            order = intake.take(batch[0], batch[-1], seeks)
            if order is Order.TAKE:
                taken += [offset for offset in batch if offset >= intake.next]
                intake.taken(batch[-1])
            elif order is Order.SEEK_BACK:
                position = intake.seek_begins()
        if intake.seeking and chance.random() < 0.3:
            intake.seek_done()
        if not queue and intake.is_hole_at_rest():
            position = intake.seek_begins()
        intake.validate()
    assert taken == log


def test_the_oldest_record_that_waits_is_no_older_than_its_batch_nor_than_what_was_done_before_it() -> None:
    intake = Intake.at(1, 10)
    assert intake.oldest_ms() is None
    intake.deliver(10, 14, 0, 1_000)
    intake.deliver(15, 19, 0, 2_000)
    assert intake.oldest_ms() == 1_000
    take(intake, 10, 14)
    intake.processed(12, 1_400)
    assert intake.oldest_ms() == 1_400
    intake.processed(14, 1_500)
    assert intake.oldest_ms() == 2_000
    take(intake, 15, 19)
    intake.processed(19, 2_900)
    assert intake.oldest_ms() is None, "nothing delivered waits"


def test_what_is_read_again_after_a_seek_has_the_age_of_its_new_batches() -> None:
    intake = Intake.at(1, 10)
    intake.deliver(15, 19, 0, 2_000)
    assert intake.oldest_ms() is None, "what waits at 10 was not delivered"
    intake.seek_begins()
    intake.seek_done()
    intake.deliver(10, 14, 1, 900)
    assert intake.oldest_ms() == 900
