"""Asks something of all workers, and waits until the owner of each partition has carried it out."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

from stream import topics_admin
from stream.codecs import encode
from stream.errors import TopicsError
from stream.following import existing, follow
from stream.groups import workers
from stream.records import Erasure, Revocation
from stream.requests import Requests, erasure_key, revocation_key
from stream.sending import send_one
from stream.settings import Settings
from stream.topics import TopicNames

LOOK_SECONDS = 0.2
GROUP_SECONDS = 3.0
"""Between two questions whether any worker runs."""


@dataclass(frozen=True, slots=True)
class Answer:
    """In how many partitions a request is carried out, of how many, and what it came to in them: votes set aside, or
    records that lost their text."""

    done: int
    partitions: int
    count: int

    @property
    def complete(self) -> bool:
        return self.done == self.partitions


async def asked_so_far(settings: Settings) -> Requests:
    """Everything that stands in the topic now. Raises TopicsError or BrokerError, one line."""
    requests = Requests()
    async for records in existing(settings, TopicNames.of(settings).requests):
        requests.learn(records)
    return requests


async def ask(settings: Settings, request: Revocation | Erasure) -> None:
    """Writes a request; it stands from then on. Raises TopicsError, BrokerError or WriteError, one line."""
    await send_one(settings, TopicNames.of(settings).requests, key_of(request), encode(request))


def key_of(request: Revocation | Erasure) -> bytes:
    """Under which it stands in the topic."""
    return revocation_key(request) if isinstance(request, Revocation) else erasure_key(request)


async def partitions_of_state(settings: Settings) -> int:
    """In how many partitions requests are carried out. Raises TopicsError or BrokerError, one line."""
    changelog = TopicNames.of(settings).changelog
    found = await topics_admin.partitions(settings, [changelog])
    if changelog not in found:
        raise TopicsError(f"topic {changelog} does not exist: run `aegis topics create`")
    return found[changelog]


def answer_to(requests: Requests, key: bytes, partitions: int) -> Answer:
    """How far the request under this key is carried out."""
    asked = requests.revocations.get(key) or requests.erasures.get(key)
    done = [
        said
        for number, said in requests.fulfilled.items()
        if asked is not None and number < partitions and asked.is_within(said.through)
    ]
    return Answer(len(done), partitions, sum(said.counts.get(key.decode(), 0) for said in done))


async def until_carried_out(
    settings: Settings, request: Revocation | Erasure, advance: Callable[[int], None]
) -> Answer:
    """Waits while a worker runs until every partition has carried a request out; `advance` is told of partitions.

    An incomplete answer means that no worker runs. Raises TopicsError or BrokerError, one line."""
    key, partitions = key_of(request), await partitions_of_state(settings)
    requests, told = Requests(), 0
    hearing = asyncio.create_task(_hear(settings, requests))
    try:
        while True:
            for _ in range(int(GROUP_SECONDS / LOOK_SECONDS)):
                await asyncio.wait([hearing], timeout=LOOK_SECONDS)
                if hearing.done():
                    hearing.result()
                answer = _answer_to_this(requests, request, key, partitions)
                advance(answer.done - told)
                told = answer.done
                if answer.complete:
                    return answer
            async with topics_admin.connected(settings) as admin:
                members, _ = await workers(admin, settings.app_id)
            if not members:
                return answer
    finally:
        hearing.cancel()
        with suppress(asyncio.CancelledError):
            await hearing


def _answer_to_this(requests: Requests, request: Revocation | Erasure, key: bytes, partitions: int) -> Answer:
    """Not to an older one under its key, before ours is read."""
    asked = requests.revocations.get(key) or requests.erasures.get(key)
    ours = asked is not None and encode(asked.request) == encode(request)
    return answer_to(requests, key, partitions) if ours else Answer(0, partitions, 0)


async def _hear(settings: Settings, requests: Requests) -> None:
    async for records in follow(settings, TopicNames.of(settings).requests, from_beginning=True):
        requests.learn(records)
