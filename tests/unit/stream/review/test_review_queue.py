"""Who gets which turn next, and what a bounded queue leaves out."""

from __future__ import annotations

import sys
from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream.console.review.candidates import Candidate, Why, key_of
from stream.console.review.queue import Order, Queue, Wanted

NOW = 1_000_000
LEASE = 600_000


def candidate(number: int, tenant: str = "default", doubt: float = 0.5, at_ms: int = NOW) -> Candidate:
    turn_id = f"turn-{number}"
    key = key_of(tenant, turn_id)
    return Candidate(
        key, tenant, turn_id, f"c-{number}", number % 8, number, number % 8, number, at_ms, doubt, Why.SAMPLED
    )


class Said:
    """Who has labelled what, as the ledger says it."""

    def __init__(self) -> None:
        self.by_key: dict[bytes, set[str]] = {}

    def __call__(self, key: bytes) -> set[str]:
        return self.by_key.get(key, set())

    def label(self, queue: Queue, one: Candidate, annotator: str) -> None:
        self.by_key.setdefault(one.key, set()).add(annotator)
        queue.labelled(one.key)


def filled(numbers: Iterable[int], most: int = 100, wanted: Wanted | None = None, order: Order = "oldest") -> Queue:
    queue = Queue(most, Said(), wanted or Wanted(), order, lease_ms=LEASE)
    for number in numbers:
        queue.add(candidate(number))
    return queue


def taken(queue: Queue, annotator: str, now_ms: int = NOW) -> str | None:
    lease = queue.take(annotator, now_ms)
    return None if lease is None else lease.candidate.turn_id


def said_of(queue: Queue) -> Said:
    assert isinstance(queue.said, Said)
    return queue.said


def test_two_annotators_do_not_get_the_same_turn() -> None:
    queue = filled(range(3))
    assert [taken(queue, name) for name in ("ann", "ben", "cleo", "dan")] == ["turn-0", "turn-1", "turn-2", None]


def test_whoever_asks_again_has_the_same_turn_until_it_is_given_back() -> None:
    queue = filled(range(2))
    assert taken(queue, "ann") == taken(queue, "ann", NOW + LEASE - 1) == "turn-0"
    queue.release("ann")
    assert taken(queue, "ben") == "turn-0"


def test_a_lease_ends_by_itself_so_that_nobody_blocks_a_turn() -> None:
    queue = filled([0])
    assert taken(queue, "ann") == "turn-0"
    assert taken(queue, "ben", NOW + LEASE - 1) is None
    assert taken(queue, "ben", NOW + LEASE) == "turn-0"
    assert taken(queue, "ann", NOW + LEASE) is None


def test_a_turn_leaves_with_as_many_labels_as_it_wants_and_nobody_labels_it_twice() -> None:
    queue = filled([0], wanted=Wanted(lambda one: 2))
    one = candidate(0)
    said_of(queue).label(queue, one, "ann")
    assert taken(queue, "ann") is None
    assert taken(queue, "ben") == "turn-0"
    queue.release("ben")
    said_of(queue).label(queue, one, "ben")
    assert len(queue) == 0
    queue.add(one)  # its verdict is read again
    assert len(queue) == 0


def test_a_turn_that_wants_two_is_shown_to_two_at_once_and_not_to_a_third() -> None:
    queue = filled([0], wanted=Wanted(lambda one: 2))
    assert [taken(queue, name) for name in ("ann", "ben", "cleo")] == ["turn-0", "turn-0", None]


def test_an_overlap_is_a_share_of_the_turns_and_the_same_after_a_restart() -> None:
    wanted = Wanted(overlap=0.1)
    twice = [number for number in range(10_000) if wanted.of(candidate(number)) == 2]
    assert 900 < len(twice) < 1_100  # six deviations of 30
    assert twice == [number for number in range(10_000) if Wanted(overlap=0.1).of(candidate(number)) == 2]
    assert {Wanted().of(candidate(number)) for number in range(100)} == {1}


@pytest.mark.parametrize(
    ("order", "expected"), [("oldest", [0, 1, 2, 3]), ("newest", [3, 2, 1, 0]), ("doubtful", [2, 0, 3, 1])]
)
def test_the_order_is_that_of_time_or_of_doubt(order: Order, expected: list[int]) -> None:
    queue = Queue(10, Said(), order=order)
    for number, doubt in enumerate((0.5, 0.1, 1.0, 0.5)):
        queue.add(candidate(number, doubt=doubt))
    assert [taken(queue, f"annotator {place}") for place in range(4)] == [f"turn-{number}" for number in expected]


def test_partitions_that_are_read_one_after_the_other_are_labelled_by_time() -> None:
    queue = Queue(10, Said())
    minutes = {0: 3, 1: 5, 2: 1, 3: 4}  # two partitions, each in order
    for number, minute in minutes.items():
        queue.add(candidate(number, at_ms=NOW + minute * 60_000))
    oldest = queue.oldest()
    assert oldest is not None
    assert oldest.turn_id == "turn-2"
    assert [taken(queue, f"annotator {place}") for place in range(4)] == ["turn-2", "turn-0", "turn-3", "turn-1"]


@pytest.mark.parametrize("order", ["oldest", "newest", "doubtful"])
def test_a_full_queue_drops_the_oldest_and_says_how_many(order: Order) -> None:
    queue = Queue(3, Said(), order=order)
    for number in range(5):
        queue.add(candidate(number, doubt=(5 - number) / 10, at_ms=NOW + number))
    assert queue.counts.dropped == 2
    assert sorted(taken(queue, f"annotator {place}") or "" for place in range(3)) == ["turn-2", "turn-3", "turn-4"]


def test_what_would_not_be_learned_any_more_is_not_shown() -> None:
    queue = Queue(10, Said(), horizon_ms=1_000)
    queue.add(candidate(0, at_ms=NOW - 1_000))
    queue.add(candidate(1, at_ms=NOW - 999))
    assert taken(queue, "ann") == "turn-1"
    assert (len(queue), queue.counts.expired) == (1, 1)


def test_whoever_is_of_one_tenant_gets_that_tenants_turns_alone() -> None:
    queue = Queue(10, Said())
    queue.add(candidate(0, "acme"))
    queue.add(candidate(1, "school"))
    lease = queue.take("ann", NOW, tenant="school")
    assert lease is not None
    assert lease.candidate.tenant == "school"
    assert (queue.waiting("school"), queue.waiting()) == (1, 2)


def test_turns_passed_by_are_left_to_others() -> None:
    queue = filled(range(2))
    lease = queue.take("ann", NOW, passed={candidate(0).key})
    assert lease is not None
    assert lease.candidate.turn_id == "turn-1"
    assert taken(queue, "ben") == "turn-0"


def test_whoever_looks_at_a_turn_keeps_it_when_others_have_labelled_it() -> None:
    queue = filled(range(2))
    assert taken(queue, "ann") == "turn-0"
    said_of(queue).label(queue, candidate(0), "elsewhere")
    assert taken(queue, "ann") == "turn-0"
    queue.lose(candidate(0))
    assert taken(queue, "ann") == "turn-1"


@given(st.lists(st.tuples(st.sampled_from(["take", "label", "skip", "expire"]), st.integers(0, 3)), max_size=40))
def test_no_turn_has_more_annotators_than_it_wants(steps: list[tuple[str, int]]) -> None:
    queue, said, now = Queue(20, Said(), Wanted(lambda one: 1 + one.offset % 2)), Said(), NOW
    queue.said = said
    for number in range(6):
        queue.add(candidate(number))
    for step, who in steps:
        name = f"annotator {who}"
        if step == "take":
            queue.take(name, now)
        elif step == "label" and (lease := queue.held(name, now)):
            said.label(queue, lease.candidate, name)
            queue.release(name)
        elif step == "skip":
            queue.release(name)
        else:
            now += queue.lease_ms // 2
        for number in range(6):
            one = candidate(number)
            held = sum(
                (lease := queue.held(f"annotator {n}", now)) is not None and lease.candidate.key == one.key
                for n in range(4)
            )
            assert len(said(one.key)) + held <= 1 + one.offset % 2


def test_of_many_candidates_a_queue_holds_as_many_as_it_may_and_drops_the_oldest() -> None:
    queue = Queue(1_000, Said())
    for number in range(100_000):
        queue.add(candidate(number))
    assert (len(queue), queue.counts.dropped) == (1_000, 99_000)
    assert taken(queue, "ann") == "turn-99000"
    (ranked,) = queue._ranked.values()
    assert sys.getsizeof(queue._waiting) + sys.getsizeof(ranked) < 1_000 * 400  # dictionaries of so many, not of all
