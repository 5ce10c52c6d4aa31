"""What the broker knows of a consumer group.

A cluster in which nobody has committed yet makes its topic of offsets at the first question and moves it to its
leaders, and one that has just started loads it: until then no broker is the group's coordinator, and the question is
put again. Whoever asks bounds the wait (`topics_admin.connected` does)."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

from aiokafka import TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import (
    GroupCoordinatorNotAvailableError,
    GroupLoadInProgressError,
    NotCoordinatorForGroupError,
    for_code,
)

T = TypeVar("T")
NO_COORDINATOR: Final = (GroupCoordinatorNotAvailableError, GroupLoadInProgressError, NotCoordinatorForGroupError)
POLL_SECONDS: Final = 0.1


async def committed(admin: AIOKafkaAdminClient, group: str) -> dict[TopicPartition, int]:
    """The offsets that the group has committed, and only those."""
    found = await _asked(lambda: admin.list_consumer_group_offsets(group))
    return {tp: at.offset for tp, at in found.items() if at.offset >= 0}


async def workers(admin: AIOKafkaAdminClient, group: str) -> tuple[int, str]:
    """How many workers the group has, and its state as Kafka calls it; one that ended by itself counts until its
    session has timed out."""

    async def described() -> tuple[int, str]:
        (response,) = await admin.describe_consumer_groups([group])
        code, _, state, _, _, members = response.groups[0][:6]
        if code:
            raise for_code(code)(group)
        return len(members), str(state)

    return await _asked(described)


async def _asked(ask: Callable[[], Awaitable[T]]) -> T:
    while True:
        try:
            return await ask()
        except NO_COORDINATOR:
            await asyncio.sleep(POLL_SECONDS)
