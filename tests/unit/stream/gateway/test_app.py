"""What runs beside the requests, and ends with them or ends them."""

from __future__ import annotations

import asyncio
import re

import pytest

from stream.errors import BrokerError, PipelineError
from stream.gateway.app import _beside


async def for_ever() -> None:
    await asyncio.Event().wait()


async def test_work_that_fails_ends_the_service_with_its_error() -> None:
    drained = asyncio.Event()

    async def serving() -> None:
        try:
            await for_ever()
        finally:
            await asyncio.sleep(0)
            drained.set()

    async def failing() -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(for_ever())
            raise BrokerError("it has gone: see that it runs")

    with pytest.raises(BrokerError, match="it has gone"):
        await _beside([for_ever, failing], serving())
    assert drained.is_set()


async def test_an_error_that_is_none_of_ours_is_told_without_its_words() -> None:
    async def failing() -> None:
        raise ValueError("what somebody wrote")

    with pytest.raises(PipelineError) as ended:
        await _beside([failing], for_ever())
    assert re.fullmatch(r"the gateway failed: ValueError at .*test_app.py:\d+", str(ended.value)), ended.value
    assert ended.value.__suppress_context__


async def test_a_service_that_ends_ends_the_work_beside_it() -> None:
    ended = asyncio.Event()

    async def work() -> None:
        try:
            await for_ever()
        finally:
            ended.set()

    async def serving() -> None:
        await asyncio.sleep(0)

    await _beside([work], serving())
    assert ended.is_set()


async def test_a_service_that_cannot_begin_says_why() -> None:
    async def serving() -> None:
        raise BrokerError("no")

    with pytest.raises(BrokerError):
        await _beside([for_ever], serving())
