"""Pending turns as a worker keeps them, each unlike the others, written straight into a changelog."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator
from typing import Any

import numpy as np
from confluent_kafka import Producer

from ensemble.votes import Vote
from stream import state

EXPERTS = ("defensive", "jailbreak", "lexical", "permissive", "replies", "risks")
CATEGORIES = ("Violence", "Sexual", "Criminal Planning/Confessions", "Hate/Identity Hate", "Profanity")
DAY_MS = 86_400_000
FLUSH_SECONDS = 60.0


def pendings(count: int, now_ms: int) -> Iterator[tuple[bytes, bytes]]:
    """`count` records (key, value): six experts, some asleep, a vote on one turn in ten, the last week's."""
    draw = random.Random(0)
    for number in range(count):
        scores = np.array([draw.random() for _ in EXPERTS], np.float32)
        votes = {"annotator-1": Vote(draw.randrange(3), now_ms)} if draw.random() < 0.1 else {}
        risks = draw.sample(CATEGORIES, draw.randrange(4))
        pending = state.Pending(
            version=state.SCHEMA_VERSION,
            scored_at_ms=now_ms - draw.randrange(6 * DAY_MS),
            digest=draw.randbytes(16),
            partition=0,
            offset=number,
            latency_ms=draw.randrange(200),
            context=draw.choice(("default/user", "default/assistant", "acme/user")),
            policy="permissive",
            label=draw.randrange(3),
            experts=EXPERTS,
            scores=scores.tobytes(),
            status=bytes(draw.randrange(2) for _ in EXPERTS),
            weights=(scores / scores.sum()).tobytes(),
            forecasts=np.array([draw.random() for _ in range(4)]).tobytes(),
            published=draw.random(),
            rounds=number // 10,
            used=number / 10,
            categories={name: round(draw.random(), 4) for name in risks},
            ask=1.0,
            votes=votes,
        )
        yield state.pending_key("default", f"{draw.getrandbits(128):032x}"), state.encode(pending)


def write(
    broker: str, topic: str, partitions: int, count: int, headers: list[tuple[str, bytes]] | None = None
) -> float:
    """Fill a topic, the partitions in turn; returns the mean size of a record. Raises RuntimeError if it cannot."""
    producer: Any = Producer(
        {
            "bootstrap.servers": broker,
            "acks": "all",
            "linger.ms": 50,
            "batch.size": 900_000,
            "batch.num.messages": 2000,
            "queue.buffering.max.messages": 1_000_000,
        }
    )
    size = 0
    for number, (key, value) in enumerate(pendings(count, time.time_ns() // 1_000_000)):
        size += len(key) + len(value)
        while True:
            try:
                producer.produce(topic, value, key, number % partitions, headers=headers)
                break
            except BufferError:
                producer.poll(0.1)
    if producer.flush(FLUSH_SECONDS):
        raise RuntimeError(f"{topic} was not filled within {FLUSH_SECONDS:g} s after the last record")
    return size / count
