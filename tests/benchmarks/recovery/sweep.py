"""`python -m benchmarks.recovery.sweep STORE COUNT FOLDER`: how long one look of the expiry over a partition's pending
turns takes, and how long the event loop is held at most meanwhile (by its thread's
processor time, since a busy machine takes the processor away for longer); one line of JSON."""

from __future__ import annotations

import asyncio
import os
import sys
import time
from pathlib import Path
from typing import Any

import msgspec

from benchmarks.recovery.peers import rss_mb
from benchmarks.recovery.records import pendings
from benchmarks.recovery.results import Sweep
from stream import state
from stream.expiry import scored_before, sweep
from stream.partitions import Partition
from stream.stores import Stores


class _Owner:
    """The partition is ours, for ever."""

    def __init__(self, partition: Partition) -> None:
        self._partition = partition

    def owner_of(self, number: int, generation: int) -> Partition:
        return self._partition


async def measure(kind: str, count: int, folder: Path) -> Sweep:
    store = Stores(kind, folder, "bench", "bench").open(0)
    together = list[tuple[bytes, bytes | None]]()
    for number, record in enumerate(pendings(count, time.time_ns() // 1_000_000), 1):
        together.append(record)
        if number % 2000 == 0 or number == count:
            store.apply(together, number)
            together = []
    nobody: Any = None
    partition = Partition(0, "bench", store, nobody, nobody)
    partition.generation = 1
    owner: Any = _Owner(partition)
    rss, longest = rss_mb(os.getpid()), 0.0
    over = asyncio.Event()

    async def tick() -> None:
        nonlocal longest
        last = time.thread_time()
        while not over.is_set():
            await asyncio.sleep(0)
            now = time.thread_time()
            longest, last = max(longest, now - last), now

    ticking = asyncio.create_task(tick())
    await asyncio.sleep(0)
    start = time.perf_counter()
    await sweep(partition, owner, state.PENDING, scored_before(0))
    seconds = time.perf_counter() - start
    over.set()
    await ticking
    store.close()
    return Sweep(kind, count, seconds, 1000 * longest, rss)


if __name__ == "__main__":
    found = asyncio.run(measure(sys.argv[1], int(sys.argv[2]), Path(sys.argv[3])))
    sys.stdout.write(msgspec.json.encode(found).decode() + "\n")
