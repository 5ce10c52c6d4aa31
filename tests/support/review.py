"""The review page in a real browser: an application that serves it, and turns of our own that are harmless."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiohttp import web

from stream.console.pages import add_static
from stream.console.review.app import attach
from stream.console.review.options import Options
from stream.settings import Settings
from stream.web.access import Access
from stream.web.limits import Limits
from stream.web.serving import application

HOST = "127.0.0.1"
BODY_BYTES = 65_536


@asynccontextmanager
async def serving(settings: Settings, options: Options | None = None, port: int = 0) -> AsyncIterator[str]:
    """Yields the address of a console that has the review page alone."""
    app = application(Access.of(settings, HOST), Limits(BODY_BYTES))
    add_static(app)
    attach(app, settings, options)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    try:
        await web.TCPSite(runner, HOST, port).start()
        yield f"http://{HOST}:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()
