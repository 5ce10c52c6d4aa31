"""The review page in a real browser: a console of its own process's loop, served to a real Chromium."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

import pytest
from aiohttp import web

from stream.console.app import make_app
from stream.console.review.options import Options
from stream.settings import Settings
from stream.web.access import Access

HOST: Final = "127.0.0.1"
CHROMIUM: Final = shutil.which("chromium") or shutil.which("chromium-browser")
needs_chromium = pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium (apt install chromium)")


@asynccontextmanager
async def serving(settings: Settings, options: Options | None = None, port: int = 0) -> AsyncIterator[str]:
    """Yields the address of a console under these settings."""
    runner = web.AppRunner(make_app(settings, Access.of(settings, HOST), queue=options), access_log=None)
    await runner.setup()
    try:
        await web.TCPSite(runner, HOST, port).start()
        yield f"http://{HOST}:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()
