"""A pipeline hands on every record once and in the order of its partition, however little is begun at a time."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

from faust.types import TP
from hypothesis import given
from hypothesis import strategies as st

from stream.consumer import Batch
from stream.intake import Intake
from stream.pipeline import End, Pipeline, Slice

GENERATION = 3


class Taker:
    """Begins with as many records as `most` says, call by call; the rest is left out of the slices."""

    def __init__(self, most: list[int]) -> None:
        self.most = most
        self.begun: list[tuple[int, int]] = []

    async def begin(self, slices: list[Slice]) -> End:
        room = self.most.pop(0) if self.most else 100
        for part in slices:
            part.records = part.records[:room]
            room -= len(part.records)
            self.begun += [(part.partition.number, record.offset) for record in part.records]

        async def end() -> None:
            await asyncio.sleep(0)

        return end


async def run(fetches: list[tuple[int, int]], most: list[int], limit: int) -> tuple[list[tuple[int, int]], list[int]]:
    """Fetches of (partition, records); what was begun in order, and what may be committed."""
    partitions: Any = {number: SimpleNamespace(number=number, generation=GENERATION) for number in range(3)}
    ownership: Any = SimpleNamespace(generation=GENERATION, owner_of=lambda number, generation: partitions[number])
    intakes = {TP("turns", number): Intake.at(GENERATION, 0) for number in range(3)}
    consumer: Any = SimpleNamespace(take=lambda batch: batch.records, intakes=intakes)
    taker, failures = Taker(most), list[Any]()
    pipeline = Pipeline("score", ownership, taker.begin, lambda: limit, failures.append)
    ends = [0, 0, 0]
    pipeline.start(consumer)
    for number, count in fetches:
        records: list[Any] = [SimpleNamespace(offset=ends[number] + place, timestamp=0) for place in range(count)]
        ends[number] += count
        intakes[TP("turns", number)].taken(ends[number] - 1)
        await pipeline.put(Batch(TP("turns", number), GENERATION, 0, records))
    async with asyncio.timeout(5):
        while not pipeline.at_rest:
            await asyncio.sleep(0)
    await pipeline.stop()
    assert not failures
    return taker.begun, [intakes[TP("turns", number)].done for number in range(3)]


@given(
    st.lists(st.tuples(st.integers(0, 2), st.integers(1, 6)), min_size=1, max_size=8),
    st.lists(st.integers(1, 5), max_size=12),
    st.integers(1, 9),
)
def test_what_is_not_begun_at_once_comes_again_in_its_order(
    fetches: list[tuple[int, int]], most: list[int], limit: int
) -> None:
    begun, done = asyncio.run(run(fetches, list(most), limit))
    whole = [sum(count for number, count in fetches if number == one) for one in range(3)]
    assert done == whole
    for number in range(3):
        assert [offset for at, offset in begun if at == number] == list(range(whole[number]))
