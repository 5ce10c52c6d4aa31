"""When experts do not keep up: work waits where it came from, and none of it is lost."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any, cast

from faust.types import TP

from stream.consumer import Batch, BatchConsumer
from stream.errors import StreamError
from stream.intake import Intake
from stream.ownership import Ownership
from stream.pipeline import BATCHES_QUEUED, IN_FLIGHT, End, Pipeline, Slice

TURNS = TP("turns", 0)
RECORDS = 10
BATCHES = 4 * BATCHES_QUEUED


def refuse(error: StreamError) -> None:
    raise AssertionError(f"the pipeline ended: {error}")


class Held:
    """A pipeline whose work does not end before `free` is set, over a partition that delivers BATCHES batches."""

    def __init__(self) -> None:
        self.free = asyncio.Event()
        self.begun: list[int] = []
        self.accepted = 0
        partition = SimpleNamespace(generation=1)
        ownership = SimpleNamespace(generation=1, owner_of=lambda number, generation: partition)
        self.intake = Intake.at(1, 0)
        consumer = SimpleNamespace(take=self._take, intakes={TURNS: self.intake})
        self.pipeline = Pipeline("score", cast(Ownership, ownership), self._begin, lambda: RECORDS, refuse)
        self.pipeline.start(cast(BatchConsumer, consumer))

    def _take(self, batch: Batch) -> list[Any]:
        self.intake.taken(batch.records[-1].offset)
        return batch.records

    async def _begin(self, slices: list[Slice]) -> End:
        await self.free.wait()
        self.begun += [record.offset for part in slices for record in part.records]
        return self._end

    async def _end(self) -> None:
        return None

    async def deliver(self) -> None:
        """As the agent does: one batch after the other, each once there is room."""
        for start in range(0, BATCHES * RECORDS, RECORDS):
            records = [SimpleNamespace(offset=start + number, timestamp=0) for number in range(RECORDS)]
            await self.pipeline.put(Batch(TURNS, 1, 0, cast(list[Any], records)))
            self.accepted += 1


async def settled() -> None:
    """Lets everything run that can."""
    for _ in range(1000):
        await asyncio.sleep(0)


async def test_a_held_up_pipeline_takes_a_bounded_number_of_batches_and_the_agent_waits() -> None:
    held = Held()
    delivering = asyncio.create_task(held.deliver())
    await settled()
    assert not delivering.done()
    assert held.accepted == BATCHES_QUEUED + 1  # what is queued, and what is at work
    assert held.intake.done == 0
    held.free.set()
    await delivering
    await held.pipeline.drain(30.0)
    await held.pipeline.stop()


async def test_what_waited_is_processed_in_order_and_whole_once_the_experts_are_free() -> None:
    held = Held()
    delivering = asyncio.create_task(held.deliver())
    await settled()
    held.free.set()
    await delivering
    async with asyncio.timeout(30.0):
        while held.intake.done < BATCHES * RECORDS:
            await asyncio.sleep(0)
    await held.pipeline.stop()
    assert held.begun == list(range(BATCHES * RECORDS))


async def test_work_whose_writes_are_not_acknowledged_holds_up_what_follows() -> None:
    held, acknowledged = Held(), asyncio.Event()
    held.free.set()
    held._end = acknowledged.wait  # type: ignore[method-assign, assignment]
    delivering = asyncio.create_task(held.deliver())
    await settled()
    assert not delivering.done()
    # In flight, one whose end is awaited, and one that finds no room.
    assert len(held.begun) == (IN_FLIGHT + 2) * RECORDS
    assert held.intake.done == 0
    acknowledged.set()
    await delivering
    async with asyncio.timeout(30.0):
        while held.intake.done < BATCHES * RECORDS:
            await asyncio.sleep(0)
    await held.pipeline.stop()
    assert held.begun == list(range(BATCHES * RECORDS))
