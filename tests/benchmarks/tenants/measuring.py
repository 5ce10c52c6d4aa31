"""Clocks of the measured process: its CPU time, its memory, and how long its loop did nothing else."""

from __future__ import annotations

import asyncio
import gc
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from stream.worker import COLLECTOR_THRESHOLDS

TICK = 0.001
"""Seconds between two looks at the clock."""


class Blocked:
    """The longest stretch of CPU time between two turns of another task on the loop, in ms. CPU time, so that what else
    runs on the machine does not count."""

    def __init__(self) -> None:
        self.longest_ms = 0.0

    async def watch(self) -> None:
        """For ever."""
        while True:
            before = time.thread_time()
            await asyncio.sleep(TICK)
            self.longest_ms = max(self.longest_ms, (time.thread_time() - before) * 1e3)


@asynccontextmanager
async def watched() -> AsyncIterator[Blocked]:
    """What blocks the loop inside."""
    blocked = Blocked()
    watching = asyncio.create_task(blocked.watch())
    await asyncio.sleep(TICK)
    try:
        yield blocked
        await asyncio.sleep(2 * TICK)  # so that what came last is seen too
    finally:
        watching.cancel()


def calm_collector() -> None:
    """As a worker's."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(*COLLECTOR_THRESHOLDS)


def rss() -> int:
    """Bytes of memory that the process holds now (Linux)."""
    lines = Path("/proc/self/status").read_text().splitlines()
    (kilobytes,) = (line.split()[1] for line in lines if line.startswith("VmRSS:"))
    return int(kilobytes) * 1024
