"""What is looked at from time to time: holes in the delivery, writes without an answer, partitions that stand still."""

import asyncio
from collections.abc import Callable, Sequence

from faust.types import TP

from stream.consumer import BatchConsumer
from stream.errors import StalledError, WriteError
from stream.metrics import Metrics
from stream.ownership import Ownership
from stream.partitions import Fatal
from stream.pipeline import Pipeline
from stream.producer import Producer

INTERVAL = 1.0


class Watch:
    """Ends the worker when the broker leaves a write unanswered or a partition with waiting records does not move: the
    supervisor starts it again, and it recovers."""

    def __init__(
        self,
        producer: Producer,
        ownership: Ownership,
        pipelines: Sequence[Pipeline],
        metrics: Metrics,
        stall: float,
        fatal: Fatal,
        ready: Callable[[], bool],
    ) -> None:
        self._producer = producer
        self._ownership = ownership
        self._pipelines = pipelines
        self._metrics = metrics
        self._stall = stall
        self._fatal = fatal
        self._ready = ready
        self._moved: dict[TP, tuple[int, float]] = {}

    async def run(self, consumer: BatchConsumer) -> None:
        """For ever, once a second."""
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(INTERVAL)
            self._metrics.ready.set(1 if self._ready() else 0)
            self._metrics.owned.set(len(self._ownership.partitions) if self._ownership.generation else 0)
            recovery = self._ownership.recovery
            self._metrics.recovered.set(recovery.records)
            self._metrics.recovery_left.set(recovery.progress.left if recovery.progress is not None else 0)
            if waited := self._producer.overdue():
                self._fatal(WriteError(f"the broker has not acknowledged a record for {waited:.0f} s"))
            if self._ownership.generation and all(pipeline.at_rest for pipeline in self._pipelines):
                self._metrics.holes.inc(consumer.mend_holes())
            self._find_stalled(consumer, loop.time())

    def _find_stalled(self, consumer: BatchConsumer, now: float) -> None:
        """A partition can silently stop being fetched. Only records that wait count: an idle topic stands still too."""
        for tp, intake in consumer.intakes.items():
            done, since = self._moved.get(tp, (-1, now))
            end = consumer.highwater(tp) or 0
            if done != intake.done or intake.done >= end:
                self._moved[tp] = (intake.done, now)
            elif now - since > self._stall:
                self._fatal(
                    StalledError(
                        f"{tp.topic}[{tp.partition}] has stood at offset {done} of {end} for {now - since:.0f} s"
                    )
                )
        for tp in set(self._moved) - set(consumer.intakes):
            del self._moved[tp]
