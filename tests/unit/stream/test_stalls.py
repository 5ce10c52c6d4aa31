"""A partition that stands still is told from one that waits for its turn."""

from __future__ import annotations

from collections.abc import Callable

from faust.types import TP

from stream.stalls import ROUNDS, Stalls

STALL = 120
A, B, OTHER = TP("turns", 0), TP("turns", 1), TP("labels", 0)
Places = dict[TP, tuple[int, int]]


def found_after(places: Callable[[int], Places], seconds: int, at_rest: bool = False) -> int | None:
    """The second at which a partition was found to stand still."""
    stalls = Stalls(float(STALL))
    return next((now for now in range(1, seconds) if stalls.look(places(now), at_rest, float(now)) is not None), None)


def test_a_partition_whose_records_wait_while_nothing_moves_is_found() -> None:
    assert found_after(lambda now: {A: (5, 9), B: (9, 9)}, 200) == STALL + 2


def test_one_that_moves_or_is_read_to_its_end_is_well() -> None:
    assert found_after(lambda now: {A: (now // 100, 10_000), B: (9, 9)}, 5_000) is None


def test_one_that_waits_while_slow_experts_work_off_another_is_well() -> None:
    assert found_after(lambda now: {A: (0, 9), B: (now, 10_000)}, ROUNDS * STALL) is None


def test_another_topic_that_moves_excuses_nothing() -> None:
    assert found_after(lambda now: {A: (0, 9), OTHER: (now, 10_000)}, 200) == STALL + 2


def test_one_that_is_not_fetched_though_nothing_is_in_work_is_found_while_its_neighbour_moves() -> None:
    assert found_after(lambda now: {A: (0, 9), B: (now, 10_000)}, 200, at_rest=True) == STALL + 2


def test_none_is_excused_for_ever() -> None:
    assert found_after(lambda now: {A: (0, 9), B: (now, 10_000)}, 2_000) == ROUNDS * STALL + 2


def test_one_that_was_given_back_begins_anew() -> None:
    stalls = Stalls(float(STALL))
    for now in range(1, 400):
        places: Places = {} if now % 100 == 0 else {A: (5, 9)}
        assert stalls.look(places, False, float(now)) is None
