"""Turns that come at a rate whatever the worker does: an open loop, with the gaps of a Poisson process."""

from __future__ import annotations

import random
import time
from collections.abc import Iterable

from confluent_kafka import Producer

NAP = 0.001
"""Seconds that the sender sleeps at most: a turn is late by no more, and what is late does not count as latency, which
begins at the broker."""
FLUSH_SECONDS = 30.0


def send(bootstrap: str, topic: str, records: Iterable[tuple[bytes, bytes]], rate: float, seed: int = 7) -> float:
    """Sends all records at `rate` a second on average; returns the rate that was reached."""
    producer = Producer({"bootstrap.servers": bootstrap, "acks": "1", "partitioner": "murmur2_random", "linger.ms": 1})
    draws, began, due, sent = random.Random(seed), time.perf_counter(), 0.0, 0
    for key, value in records:
        due += draws.expovariate(rate)
        while (early := began + due - time.perf_counter()) > 0:
            producer.poll(0)
            time.sleep(min(early, NAP))
        producer.produce(topic, value, key)
        sent += 1
        if sent % 100 == 0:
            producer.poll(0)
    reached = sent / (time.perf_counter() - began)
    if producer.flush(FLUSH_SECONDS):
        raise RuntimeError(f"the broker did not take {topic}'s turns within {FLUSH_SECONDS:g} s")
    return reached
