"""What keeps queue and ledger, where there is no broker."""

from __future__ import annotations

import asyncio

from stream.broker import free_port
from stream.console.review.feed import Feed
from stream.console.review.ledger import Ledger
from stream.console.review.queue import Queue
from stream.requests import Requests
from stream.settings import Settings
from support.kafka import eventually_async


async def test_a_console_that_starts_before_its_broker_says_so_and_goes_on_trying() -> None:
    settings, ledger = Settings.load(broker=f"127.0.0.1:{free_port()}"), Ledger()
    feed = Feed(settings, Queue(10, ledger.said), ledger, Requests())
    running = asyncio.create_task(feed.run())
    for _ in range(2):
        await eventually_async(lambda: feed.trouble is not None or running.done(), awaited="what is wrong")
        assert not running.done()
        assert settings.broker in str(feed.trouble)
        feed.trouble = None
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    assert not feed.is_ready
