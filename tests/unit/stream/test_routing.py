"""Where a label looks for its turn."""

import zlib

import pytest
from aiokafka.partitioner import DefaultPartitioner
from hypothesis import given
from hypothesis import strategies as st

from stream.routing import FIRST, MOST_HEADER_BYTES, TRIED, TRIES, Journey, candidates, next_stop


@given(st.binary(min_size=1), st.integers(1, 50))
def test_the_partition_of_a_java_and_of_a_librdkafka_client_are_candidates(key: bytes, count: int) -> None:
    java = DefaultPartitioner()(key, list(range(count)), list(range(count)))
    librdkafka = zlib.crc32(key) % count
    assert set(candidates(key, [count], None)) == {java, librdkafka}


def test_the_named_partition_comes_first() -> None:
    assert candidates(b"key", [8], 5)[0] == 5


def test_partitions_under_earlier_counts_are_candidates_too() -> None:
    assert set(candidates(b"key", [4], None)) <= set(candidates(b"key", [12, 4], None))


@given(st.binary(min_size=1), st.integers(1, 20), st.integers(0, 19), st.none() | st.integers(0, 19))
def test_a_label_visits_every_candidate_once_and_ends_where_it_began(
    key: bytes, count: int, start: int, named: int | None
) -> None:
    start %= count
    possible = candidates(key, [count], named)
    here: int = start
    visited, journey = [start], Journey()
    for _ in range(20):
        stop, journey = next_stop(here, journey, possible, count)
        if stop is None:
            break
        here = stop
        visited.append(stop)
        journey = Journey.of(journey.headers())
    assert stop is None
    assert here == start
    assert {p for p in possible if p < count} <= set(visited)
    assert len(visited) <= len({*possible, start}) + 1


def test_a_partition_that_is_not_there_is_not_visited() -> None:
    assert next_stop(0, Journey(), (0, 7), 4)[0] is None


@pytest.mark.parametrize("value", [b"", b"x", b"-1", b"\xff", None])
def test_headers_of_strangers_are_no_numbers(value: bytes | None) -> None:
    headers = [(name, value) for name in (TRIED, FIRST, TRIES)]
    assert Journey.of(headers).first_ms in (0, 1)  # type: ignore[arg-type]


def test_a_journey_survives_its_headers() -> None:
    journey = Journey((3, 1), 1_700_000_000_000, 4, 1_700_000_000_123)
    assert Journey.of(journey.headers()) == journey


def test_a_list_of_partitions_as_long_as_a_message_is_not_carried_on() -> None:
    """It would be forwarded longer than it came, until the broker refuses the label and the worker ends at it."""
    endless = b",".join(b"%d" % number for number in range(100_000))
    assert Journey.of([(TRIED, endless)]) == Journey()
    longest = b"1" * 15 + b",1" * ((MOST_HEADER_BYTES - 15) // 2)
    assert len(Journey.of([(TRIED, longest)]).tried) == 2
