"""Work that may hang, beside the loop and without holding up the end of the process."""

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import TypeVar

T = TypeVar("T")


async def apart(work: Callable[[], T], name: str) -> T:
    """What `work` returns or raises, from a daemon thread of its own: asyncio's own threads are waited for at the end.

    Once this is cancelled, what becomes of the work is dropped."""
    future: Future[T] = Future()
    future.set_running_or_notify_cancel()  # from here on only the thread settles it

    def run() -> None:
        try:
            future.set_result(work())
        except BaseException as error:  # noqa: BLE001 - whatever it is, who waits is told
            future.set_exception(error)

    threading.Thread(target=run, name=name, daemon=True).start()
    return await asyncio.wrap_future(future)
