"""Record batches as the broker takes them: every record once and in order, none left waiting for ever."""

from __future__ import annotations

import time
from typing import Any

import pytest
from aiokafka.producer.message_accumulator import BatchBuilder
from aiokafka.record.memory_records import MemoryRecords

from stream.producer import MAX_BATCH_BYTES, Outgoing, Producer
from stream.settings import Settings


def batches(*records: Outgoing) -> list[list[Any]]:
    """The records of each batch, as a reader of the log would find them."""
    producer = Producer(Settings(broker="unused:1"))
    found = []
    for batch, count in producer._build(records, lambda: BatchBuilder(MAX_BATCH_BYTES, 0)):
        assert batch.record_count() == count
        read = MemoryRecords(bytes(batch._build()))
        found.append(list(read.next_batch()) if count else [])
        assert len(found[-1]) == count
    return found


def test_a_batch_holds_its_records_in_order_with_key_value_headers_and_timestamp() -> None:
    sent = [Outgoing(b"k", b"v", [("h", b"1")], 1234), Outgoing(None, b"w"), Outgoing(b"t", None)]
    before = time.time_ns() // 1_000_000
    ((first, second, third),) = batches(*sent)
    assert (first.key, first.value, first.headers, first.timestamp) == (b"k", b"v", [("h", b"1")], 1234)
    assert (second.key, second.value, third.key, third.value) == (None, b"w", b"t", None)
    assert before <= second.timestamp == third.timestamp <= time.time_ns() // 1_000_000
    assert [record.offset for record in (first, second, third)] == [0, 1, 2]


@pytest.mark.parametrize("size", [1_000, 300_000, 600_000, 2_000_000])
def test_what_does_not_fit_one_batch_fills_the_next_and_nothing_is_left_out(size: int) -> None:
    sent = [Outgoing(b"%d" % number, b"x" * size) for number in range(7)]
    found = batches(*sent)
    assert [record.key for batch in found for record in batch] == [record.key for record in sent]
    assert all(len(batch) == 1 or len(batch) * size <= MAX_BATCH_BYTES for batch in found)


def test_nothing_to_send_is_one_empty_batch() -> None:
    assert batches() == [[]]
