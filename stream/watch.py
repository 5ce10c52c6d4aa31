"""What is looked at from time to time: holes in the delivery, writes without an answer, partitions that stand still."""

import asyncio
from collections.abc import Sequence

import structlog

from stream.consumer import BatchConsumer
from stream.errors import StalledError, WriteError
from stream.metrics import Metrics
from stream.ownership import Ownership
from stream.partitions import Fatal
from stream.pipeline import Pipeline
from stream.producer import Producer
from stream.stalls import Stalls
from stream.topics import METADATA_MS

log = structlog.get_logger()

INTERVAL = 1.0
GROWTH_SECONDS = 2 * METADATA_MS / 1000
"""That added partitions may be nobody's. The group's leader sees them within `METADATA_MS` and shares them out; but one
that is a static member and was started again does not know that it leads."""


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
    ) -> None:
        self._producer = producer
        self._ownership = ownership
        self._pipelines = pipelines
        self._metrics = metrics
        self.stalls = Stalls(stall)
        self._fatal = fatal
        self._unshared: float | None = None

    async def run(self, consumer: BatchConsumer) -> None:
        """For ever, once a second."""
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(INTERVAL)
            if waited := self._producer.overdue():
                self._fatal(WriteError(f"the broker has not acknowledged a record for {waited:.0f} s"))
            at_rest = all(pipeline.at_rest for pipeline in self._pipelines)
            if self._ownership.generation and at_rest:
                self._metrics.holes.inc(consumer.mend_holes())
            self._find_stalled(consumer, at_rest, loop.time())
            self._share_out(consumer, loop.time())

    def _share_out(self, consumer: BatchConsumer, now: float) -> None:
        assigned = consumer.assigned_partitions()
        if not self._ownership.generation or not 0 < assigned < consumer.whole_partitions():
            self._unshared = None
        elif self._unshared is None:
            self._unshared = now
        elif now - self._unshared > GROWTH_SECONDS:
            self._unshared = None
            log.warning("partitions_unowned", assigned=assigned, there=consumer.whole_partitions())
            consumer.ask_for_a_rebalance()

    def _find_stalled(self, consumer: BatchConsumer, at_rest: bool, now: float) -> None:
        places = {tp: (intake.done, consumer.end_of(tp)) for tp, intake in consumer.intakes.items()}
        stalled = self.stalls.look(places, at_rest, now)
        if stalled is not None:
            done, end = places[stalled]
            stood = self.stalls.stood(stalled, now)
            where = f"{stalled.topic}[{stalled.partition}]"
            self._fatal(StalledError(f"{where} has stood at offset {done} of {end} for {stood:.0f} s"))
