"""What is looked at once a second for `/metrics`: how far the inputs are, the state, the broker, the loop itself."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

from faust.types import TP

from stream.condition import Condition
from stream.consumer import BatchConsumer
from stream.metrics import Metrics
from stream.ownership import Ownership
from stream.partitions import now_ms
from stream.producer import Producer
from stream.roster import Roster
from stream.settings import Settings
from stream.stalls import Stalls
from stream.topics import TopicNames
from stream.view import MergedView

INTERVAL = 1.0


@dataclass
class Listening:
    """Since when the broker has not answered, by the loop's clock: the cluster's own stamp is of a clock that may be
    set."""

    heard: float
    _stamp: float = 0.0

    def silent(self, stamp: float, now: float) -> float:
        """Seconds since `stamp` last changed."""
        if stamp != self._stamp:
            self._stamp, self.heard = stamp, now
        return now - self.heard


class Gauges:
    """Sets gauges, and decides nothing."""

    def __init__(
        self,
        settings: Settings,
        metrics: Metrics,
        producer: Producer,
        ownership: Ownership,
        view: MergedView,
        roster: Roster,
        stalls: Stalls,
        condition: Callable[[], Condition],
    ) -> None:
        self._names = TopicNames.of(settings)
        self._folder = settings.data_dir if settings.store != "memory" else None
        self._metrics = metrics
        self._producer = producer
        self._ownership = ownership
        self._view = view
        self._roster = roster
        self._stalls = stalls
        self._condition = condition
        self._generation = 0
        self._listening = Listening(0.0)
        self.silence = 0.0
        """Seconds since the broker last answered."""

    async def run(self, consumer: BatchConsumer) -> None:
        """For ever, once a second."""
        loop = asyncio.get_running_loop()
        self._listening.heard = loop.time()
        while True:
            due = loop.time() + INTERVAL
            await asyncio.sleep(INTERVAL)
            self._metrics.loop_delay.set(max(0.0, loop.time() - due))
            self._look(consumer, loop.time())

    def _look(self, consumer: BatchConsumer, now: float) -> None:
        self._tell_inputs(consumer, now)
        self._tell_state()
        metrics = self._metrics
        self.silence = self._listening.silent(self._producer.refreshed, now)
        metrics.silence.set(self.silence)
        metrics.unacknowledged.set(self._producer.waited())
        metrics.stood.set(self._stalls.longest)
        metrics.view_lag.set(self._view.left)
        metrics.tokens.replace({(trunk,): count for trunk, count in self._roster.tokens.items()})
        condition = self._condition()
        metrics.condition.replace({(condition.state,): 1.0})
        metrics.ready.set(1 if condition.is_ready else 0)

    def _tell_inputs(self, consumer: BatchConsumer, now: float) -> None:
        generation = self._ownership.generation
        self._metrics.owned.set(len(self._ownership.partitions) if generation else 0)
        if generation:
            self._metrics.partitions.set(consumer.whole_partitions())
        if generation and generation != self._generation:
            self._metrics.generations.inc()
            self._generation = generation
        at_ms, lags, ages = now_ms(), dict[tuple[str, ...], float](), dict[tuple[str, ...], float]()
        for tp, intake in list(consumer.intakes.items()):
            labels, left = (self._input(tp), str(tp.partition)), max(0, consumer.end_of(tp) - intake.done)
            came = intake.oldest_ms() if left else at_ms
            # Of one that was not even fetched yet is known how long its partition has stood.
            stood = self._stalls.stood(tp, now) if left else 0.0
            lags[labels], ages[labels] = left, max(0.0 if came is None else (at_ms - came) / 1000, stood)
        self._metrics.lag.replace(lags)
        self._metrics.oldest.replace(ages)

    def _input(self, tp: TP) -> str:
        return "turns" if tp.topic == self._names.turns else "labels"

    def _tell_state(self) -> None:
        metrics, recovery = self._metrics, self._ownership.recovery
        metrics.recovered.set(recovery.records)
        metrics.recovery_left.set(recovery.progress.left if recovery.progress is not None else 0)
        metrics.recovery_seconds.set(recovery.seconds)
        owned = [p for p in self._ownership.partitions.values() if p.generation]
        metrics.state_records.replace({(str(p.number),): p.store.count() for p in owned})
        metrics.early.replace({(str(p.number),): len(p.early) for p in owned})
        metrics.pending.replace({(str(p.number),): p.waiting + p.decided for p in owned if p.waiting is not None})
        if self._folder is not None:
            with suppress(OSError):  # a folder that cannot be used is the store's to tell
                disk = os.statvfs(self._folder)
                metrics.disk_free.set(disk.f_bavail * disk.f_frsize)
                metrics.disk_size.set(disk.f_blocks * disk.f_frsize)
