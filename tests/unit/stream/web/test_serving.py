"""How a service begins, answers what fails, and ends."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
from contextlib import suppress

import aiohttp
import pytest
from aiohttp import web
from structlog.testing import capture_logs
from yarl import URL

from stream.broker import free_port
from stream.errors import SettingsError
from stream.settings import Settings
from stream.web.access import Access
from stream.web.limits import Limits
from stream.web.serving import application, serve
from support.served import served


def service() -> web.Application:
    return application(Access.of(Settings(), "127.0.0.1"), Limits(1000))


async def nothing(_: web.Request) -> web.Response:
    return web.Response()


async def test_every_answer_has_the_headers_that_protect_a_page() -> None:
    async with served(service()) as client, client.get("/nothing-here") as answer:
        assert answer.status == 404
        assert "default-src 'self'" in answer.headers["Content-Security-Policy"]
        assert "frame-ancestors 'none'" in answer.headers["Content-Security-Policy"]
        assert "unsafe-inline" not in answer.headers["Content-Security-Policy"]
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert answer.headers["Referrer-Policy"] == "no-referrer"
        assert answer.headers["Cache-Control"] == "no-store"
        assert answer.headers["Server"] == "aegis"
        assert (await answer.json())["error"]["code"] == "not_found"


async def test_a_method_that_is_not_taken_is_told_with_those_that_are() -> None:
    app = service()
    app.add_routes([web.post("/labels", nothing)])
    async with served(app) as client, client.get("/labels") as answer:
        assert answer.status == 405
        assert answer.headers["Allow"] == "POST"
        assert (await answer.json())["error"]["message"] == "this address takes POST"


async def test_a_handler_that_fails_quotes_nothing_to_the_caller_or_the_log() -> None:
    async def fail(_: web.Request) -> web.Response:
        raise ValueError("what somebody wrote")

    app = service()
    app.add_routes([web.get("/fail", fail)])
    with capture_logs() as logs:
        async with served(app) as client, client.get("/fail") as answer:
            assert answer.status == 500
            text = await answer.text()
    assert "wrote" not in text + repr(logs)
    assert logs[0]["error"] == "ValueError"
    assert logs[0]["at"].startswith("fail:")


async def test_a_service_that_is_told_to_end_finishes_what_it_has_begun() -> None:
    begun, go = asyncio.Event(), asyncio.Event()

    async def slow(_: web.Request) -> web.Response:
        begun.set()
        await go.wait()
        return web.Response(text="done")

    app = service()
    app.add_routes([web.get("/slow", slow)])
    listening: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    serving = asyncio.create_task(serve(app, "127.0.0.1", 0, 10.0, listening.set_result))
    address = await listening
    async with aiohttp.ClientSession(address) as client:
        asked = asyncio.create_task(_text(client, "/slow"))
        await begun.wait()
        os.kill(os.getpid(), signal.SIGTERM)
        await _refused(URL(address))  # no new connection is taken, while the old one is answered
        go.set()
        assert await asked == "done"
    await serving


async def test_a_port_that_is_taken_is_refused_in_one_line() -> None:
    port = free_port()
    with socket.create_server(("127.0.0.1", port)), pytest.raises(SettingsError, match="choose another --port"):
        await serve(service(), "127.0.0.1", port, 1.0)


async def _refused(address: URL) -> None:
    """Returns when no connection is taken any more."""
    with suppress(ConnectionRefusedError):
        while True:
            _, writer = await asyncio.open_connection(address.host, address.port)
            writer.close()


async def _text(client: aiohttp.ClientSession, path: str) -> str:
    async with client.get(path) as answer:
        return await answer.text()
