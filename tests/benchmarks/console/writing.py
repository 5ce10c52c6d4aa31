"""`python -m benchmarks.console.writing SETTINGS MINUTES RATE CONTEXTS`: the traffic, in a process of its own.

Fills `weights.v1` first, prints `filled`, and then writes at the pace that was asked for; prints how many verdicts it
wrote in the end."""

from __future__ import annotations

import asyncio
import random
import sys
import time
from collections import deque
from typing import Final

import msgspec

from benchmarks.console.made import labelled, verdict, weights
from stream import connection
from stream.codecs import encode
from stream.dead_letters import DETAIL, OFFSET, PARTITION, REASON, TOPIC
from stream.records import Verdict
from stream.settings import Settings
from stream.topics import TopicNames

TICKS: Final = 20
"""A second's traffic comes in so many pieces."""
HISTORY: Final = 4
"""Records of each context before the traffic."""
OF_A_THOUSAND: Final = 40
"""Labels, and records of weights, for a thousand verdicts."""


async def main(settings: Settings, minutes: float, per_second: int, contexts: int) -> None:
    """Fill, then write."""
    rng, names = random.Random(1), TopicNames.of(settings)
    async with connection.producer(settings, linger_ms=20, max_batch_size=256 << 10) as producer:
        for step in range(HISTORY):
            for number in range(contexts):
                told = weights(rng, number, 10 * (step + 1), 60.0 * (HISTORY - step))
                await producer.send(names.weights, encode(told), key=told.context.encode())
        await producer.flush()
        print("filled", flush=True)
        began, written = time.monotonic(), 0
        lately: deque[Verdict] = deque(maxlen=per_second * 2)
        while (now := time.monotonic() - began) < minutes * 60.0:
            due = int(now * per_second) - written
            for number in range(written, written + due):
                made = verdict(rng, number, contexts)
                lately.append(made)
                await producer.send(names.verdicts, encode(made), key=made.conversation_id.encode())
                if number % 1000 < OF_A_THOUSAND:
                    label = labelled(rng, rng.choice(lately))
                    await producer.send(names.labels, encode(label), key=label.conversation_id.encode())
                    told = weights(rng, rng.randrange(contexts), 50 + number // 1000)
                    await producer.send(names.weights, encode(told), key=told.context.encode())
                if number % (2 * per_second) == 0:
                    await producer.send(names.dead_letters, b"x", headers=_headers(names.turns, number))
            written += due
            await asyncio.sleep(1.0 / TICKS)
        await producer.flush()
    print(written, flush=True)


def _headers(topic: str, number: int) -> list[tuple[str, bytes]]:
    reason = ("not_json", "missing_field", "wrong_type")[number // 1000 % 3]
    told = {REASON: reason, DETAIL: "made for a benchmark", TOPIC: topic, PARTITION: "0", OFFSET: str(number)}
    return [(name, value.encode()) for name, value in told.items()]


if __name__ == "__main__":
    asyncio.run(
        main(Settings(**msgspec.json.decode(sys.argv[1])), float(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4]))
    )
