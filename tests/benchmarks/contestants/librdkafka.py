"""Bare librdkafka through confluent-kafka: a record at a time, or taken in batches. Nothing is decoded or decided.

Each verdict is produced when its changelog record is acknowledged (in the delivery callback), and its offset committed
when it is itself."""

from __future__ import annotations

import sys
import time
from functools import partial
from typing import Any

from confluent_kafka import Consumer, Producer, TopicPartition

from benchmarks.plan import BATCH_RECORDS, COMMIT_SECONDS, Plan

WAITING = 100_000
"""Turns without an acknowledged verdict at most: librdkafka's own default for a full queue."""
POLL_SECONDS = 0.005


class Loop:
    """Reads turns, `together` at a time (1: record by record), and writes both records of each."""

    def __init__(self, plan: Plan, together: int) -> None:
        self._plan = plan
        self._together = together
        self._producer = Producer(plan.librdkafka())
        self._consumer = Consumer(plan.librdkafka_consumer())
        self._consumer.subscribe([plan.turns])
        self._changelog_value, self._verdict = plan.changelog_value, plan.verdict
        self._done: dict[int, int] = {}
        self._waiting = 0

    def run(self) -> None:
        """Work until the process is ended."""
        committed, at = dict[int, int](), time.monotonic()
        while True:
            if self._waiting < WAITING:
                for turn in self._next():
                    self._write(turn)
            self._producer.poll(0 if self._waiting < WAITING else POLL_SECONDS)
            if time.monotonic() - at > COMMIT_SECONDS:
                if self._done != committed:
                    committed = dict(self._done)
                    self._commit(committed)
                at = time.monotonic()

    def _next(self) -> list[Any]:
        if self._together > 1:
            return list(self._consumer.consume(self._together, POLL_SECONDS))
        turn = self._consumer.poll(POLL_SECONDS)
        return [] if turn is None else [turn]

    def _write(self, turn: Any) -> None:
        if turn.error():
            raise RuntimeError(f"the broker answered {turn.error().name()}")
        partition, offset = turn.partition(), turn.offset()
        self._waiting += 1
        self._producer.produce(
            self._plan.changelog,
            self._changelog_value,
            self._plan.changelog_key(partition, offset),
            partition,
            on_delivery=partial(self._acknowledged, turn.key(), partition, offset),
        )

    def _acknowledged(self, key: bytes, partition: int, offset: int, error: Any, _: Any) -> None:
        if error is not None:
            raise RuntimeError(f"a changelog record was refused: {error.name()}")
        decided = partial(self._decided, partition, offset)
        self._producer.produce(self._plan.verdicts, self._verdict, key, partition, on_delivery=decided)

    def _decided(self, partition: int, offset: int, error: Any, _: Any) -> None:
        if error is not None:
            raise RuntimeError(f"a verdict was refused: {error.name()}")
        self._done[partition] = offset + 1
        self._waiting -= 1

    def _commit(self, done: dict[int, int]) -> None:
        offsets = [TopicPartition(self._plan.turns, partition, offset) for partition, offset in done.items()]
        self._consumer.commit(offsets=offsets, asynchronous=True)


if __name__ == "__main__":
    Loop(Plan.from_arguments(), BATCH_RECORDS if sys.argv[2] == "batches" else 1).run()
