"""Work in a thread of its own: what it returns or raises comes back, and what hangs holds nothing up."""

from __future__ import annotations

import asyncio
import threading

import pytest

from stream.apart import apart


async def test_what_the_work_returns_or_raises_comes_back() -> None:
    assert await apart(threading.current_thread, "elsewhere") is not threading.current_thread()
    with pytest.raises(ZeroDivisionError):
        await apart(lambda: 1 // 0, "failing")


async def test_work_that_is_not_awaited_any_more_ends_without_a_word() -> None:
    release = threading.Event()
    waiting = asyncio.create_task(apart(lambda: release.wait(30), "hanging"))
    await asyncio.sleep(0)
    (thread,) = [thread for thread in threading.enumerate() if thread.name == "hanging"]
    assert thread.daemon
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    release.set()
    thread.join(30)
    assert not thread.is_alive()
