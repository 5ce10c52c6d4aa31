"""A service of ours on a real port, and a client."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp
from aiohttp import web


@asynccontextmanager
async def served(app: web.Application, host: str = "127.0.0.1") -> AsyncIterator[aiohttp.ClientSession]:
    """A client whose paths lead to the application; it keeps cookies as a browser does, and follows no redirect by
    itself unless told."""
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    try:
        site = web.TCPSite(runner, host, 0)
        await site.start()
        port = runner.addresses[0][1]
        jar = aiohttp.CookieJar(unsafe=True)  # cookies of an address without a name, too
        async with aiohttp.ClientSession(f"http://{host}:{port}", cookie_jar=jar) as client:
            yield client
    finally:
        await runner.cleanup()
