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
VARIANTS = 5000
DAY_MS = 86_400_000
FLUSH_SECONDS = 60.0


def pendings(count: int, now_ms: int) -> Iterator[tuple[bytes, bytes]]:
    """`count` records (key, value): six experts, some asleep, a vote on one turn in ten, the last week's. What the
    experts say repeats after `VARIANTS`, ids, digests and times do not."""
    draw = random.Random(0)
    variants = [_pending(draw, now_ms) for _ in range(min(count, VARIANTS))]
    for number in range(count):
        pending = variants[number % VARIANTS]
        pending.scored_at_ms = now_ms - draw.randrange(6 * DAY_MS)
        pending.digest = draw.randbytes(16)
        pending.offset = number
        pending.rounds, pending.used = number // 10, number / 10
        yield state.pending_key("default", f"{draw.getrandbits(128):032x}"), state.encode(pending)


def _pending(draw: random.Random, now_ms: int) -> state.Pending:
    scores = np.array([draw.random() for _ in EXPERTS], np.float32)
    risks = draw.sample(CATEGORIES, draw.randrange(4))
    return state.Pending(
        version=state.SCHEMA_VERSION,
        scored_at_ms=now_ms,
        digest=b"",
        partition=0,
        offset=0,
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
        rounds=0,
        used=0.0,
        categories={name: round(draw.random(), 4) for name in risks},
        ask=1.0,
        votes={"annotator-1": Vote(draw.randrange(3), now_ms)} if draw.random() < 0.1 else {},
    )


Headers = list[tuple[str, bytes]]


def write(broker: str, topics: dict[str, Headers], partitions: int, count: int) -> float:
    """Fill topics alike, each with its headers, the partitions in turn; returns the mean size of a record. Raises
    RuntimeError if it cannot."""
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
        for topic, headers in topics.items():
            while True:
                try:
                    producer.produce(topic, value, key, number % partitions, headers=headers)
                    break
                except BufferError:
                    producer.poll(0.1)
    if producer.flush(FLUSH_SECONDS):
        raise RuntimeError(f"the topics were not filled within {FLUSH_SECONDS:g} s after the last record")
    return size / count
