"""A service from its first request to its last: the application with what all of them share, run until SIGTERM."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable

from aiohttp import web

from stream.errors import SettingsError
from stream.web.access import Access
from stream.web.answers import BEGUN, errors_as_json
from stream.web.limits import Limits

HEADERS = {
    # Nothing from elsewhere and no script or style inside a page: what somebody wrote into a turn cannot become one.
    "Content-Security-Policy": "default-src 'self'; frame-ancestors 'none'; form-action 'self'; base-uri 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
}
"""On every answer; a handler's own value of one stands."""
SERVER = "aegis"
"""In place of the names and versions of Python and aiohttp."""
SETTLE = 0.1
"""Seconds between the last connection taken and the first closed: aiohttp would hear nothing of a request on one that
was taken in between, and wait for it until the drain is over."""
UNSTORED = "no-store"
"""Answers hold verdicts and texts of people: no cache keeps them, unless a handler says otherwise (static files)."""


def application(access: Access, limits: Limits, stylesheet: str | None = None) -> web.Application:
    """An application that lets in whom `access` knows, within `limits`, with errors as JSON and the headers above."""
    app = web.Application(
        middlewares=[errors_as_json, access.middleware(), limits.middleware()], client_max_size=limits.body_bytes
    )
    access.attach(app, stylesheet)
    app.on_response_prepare.append(_add_headers)
    return app


async def _add_headers(request: web.Request, response: web.StreamResponse) -> None:
    request[BEGUN] = True
    response.headers["Server"] = SERVER
    for name, value in HEADERS.items():
        response.headers.setdefault(name, value)
    if not isinstance(response, web.FileResponse):
        response.headers.setdefault("Cache-Control", UNSTORED)


async def serve(
    app: web.Application, host: str, port: int, drain: float, listening: Callable[[str], None] = lambda address: None
) -> None:
    """Runs until SIGTERM or SIGINT, then takes no more connections and lets what was begun end, for `drain` seconds.

    `listening` is told the address, whose port is one that was free when `port` is 0. Raises SettingsError, one line,
    when the port is taken, and whatever the application's start raises."""
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=drain)
    stop, loop = asyncio.Event(), asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    try:
        await runner.setup()
        site = web.TCPSite(runner, host, port)
        try:
            await site.start()
        except OSError as error:
            why = error.strerror or "no such host"
            raise SettingsError(f"{host}:{port} cannot be listened on ({why}): choose another --port") from error
        listening(f"http://{_named(host)}:{runner.addresses[0][1]}")
        await stop.wait()
        await site.stop()
        await asyncio.sleep(SETTLE)
    finally:
        await runner.cleanup()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.remove_signal_handler(number)


def _named(host: str) -> str:
    return f"[{host}]" if ":" in host else host
