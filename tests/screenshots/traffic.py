"""Traffic as on a small site, made of the conversations that ship with the package: turns of several tenants, what
people say of some of them a little later, and now and then a message that nobody can use.

`python -m screenshots.traffic SETTINGS SECONDS PER_SECOND` sends it from a process of its own."""

from __future__ import annotations

import asyncio
import heapq
import itertools
import json
import random
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

import msgspec

from stream import connection
from stream.demo.script import load
from stream.settings import Settings
from stream.topics import TopicNames

TENANTS: Final = ("acme", "globex", "initech", "umbrella", "hooli", "stark", "wayne", "tyrell", "soylent", "cyberdyne")
ANNOTATORS: Final = ("ana", "ben", "chloe", "dev", "emre")
LABELLED: Final = 0.5
"""Of the turns."""
WRONG: Final = 0.06
"""Of the labels: people are not of one mind."""
DELAY: Final = (2.0, 25.0)
"""Seconds from a turn to its label."""
BAD_EVERY: Final = 180
"""Turns between two messages that nobody can use."""
BAD: Final = (
    b"this is no JSON",
    b'{"turn_id":"","conversation_id":"c","role":"user","text":"","sent_at":"2026-01-01T00:00:00Z"}',
    b'{"turn_id":"t","conversation_id":"c","role":"user","text":"Hello","sent_at":"yesterday"}',
    b'{"turn_id":"t","conversation_id":"c","role":"narrator","text":"Hello","sent_at":"2026-01-01T00:00:00Z"}',
    b'{"turn_id":"t","conversation_id":"c","text":"Hello"}',
)
CLASSES: Final = ("safe", "needs_caution", "unsafe")


@dataclass(frozen=True, slots=True)
class Made:
    """A turn, and what people would say of it."""

    turn: dict[str, Any]
    truth: str


def turns(seed: int) -> Iterator[Made]:
    """For ever: conversations in any order, each by some tenant; large tenants have most of them."""
    rng, conversations = random.Random(seed), load()
    for number in itertools.count():
        conversation = rng.choice(conversations)
        tenant = TENANTS[min(int(rng.expovariate(0.45)), len(TENANTS) - 1)]
        for place, turn in enumerate(conversation["turns"]):
            said = {"role": turn["role"], "text": turn["text"], "tenant": tenant}
            ids = {"turn_id": f"t{number:06}-{place}", "conversation_id": f"c{number:06}"}
            yield Made({**ids, **said}, turn["label"])


async def publish(settings: Settings, seconds: float, per_second: float, seed: int = 1) -> None:
    """Send turns at this pace for so long, and each label when it is due."""
    rng, names, made = random.Random(seed), TopicNames.of(settings), turns(seed)
    due: list[tuple[float, int, dict[str, Any]]] = []
    async with connection.producer(settings) as producer:
        began = time.monotonic()
        for number in itertools.count():
            # The pace swings, as a day does.
            swing = 1.0 + 0.35 * ((number // 40) % 5 - 2) / 2
            await asyncio.sleep(rng.expovariate(per_second * swing))
            now = time.monotonic() - began
            if now > seconds:
                return
            one = next(made)
            record = {**one.turn, "sent_at": _now()}
            await producer.send(names.turns, json.dumps(record).encode(), key=record["conversation_id"].encode())
            if rng.random() < LABELLED:
                heapq.heappush(due, (now + rng.uniform(*DELAY), number, _label(one, rng)))
            if number % BAD_EVERY == BAD_EVERY - 1:
                await producer.send(names.turns, rng.choice(BAD))
            while due and due[0][0] <= now:
                label = {**heapq.heappop(due)[2], "labelled_at": _now()}
                await producer.send(names.labels, json.dumps(label).encode(), key=label["conversation_id"].encode())


def _label(made: Made, rng: random.Random) -> dict[str, Any]:
    said = rng.choice(CLASSES) if rng.random() < WRONG else made.truth
    names = {name: made.turn[name] for name in ("turn_id", "conversation_id", "tenant")}
    return {**names, "label": said, "annotator": rng.choice(ANNOTATORS)}


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")


if __name__ == "__main__":
    asyncio.run(publish(Settings(**msgspec.json.decode(sys.argv[1])), float(sys.argv[2]), float(sys.argv[3])))
