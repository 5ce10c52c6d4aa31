from __future__ import annotations

import base64
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import pytest
from aiohttp import web

from stream.tokens import FileToken, GrantedToken

SECRET = "a-canary-of-a-secret"


class Giver:
    """Whoever gives tokens: what it was asked, and what it answers next."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, dict[str, list[str]]]] = []
        self.answer: Any = {"access_token": "one", "token_type": "bearer", "expires_in": 100}
        self.status = 200

    async def give(self, request: web.Request) -> web.Response:
        login = base64.b64decode(request.headers["Authorization"].removeprefix("Basic ")).decode()
        self.asked.append((login, parse_qs(await request.text())))
        if isinstance(self.answer, bytes):
            return web.Response(body=self.answer, status=self.status)
        return web.json_response(self.answer, status=self.status)


@asynccontextmanager
async def giver() -> AsyncIterator[tuple[Giver, str]]:
    who, app = Giver(), web.Application()
    app.router.add_post("/token", who.give)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        yield who, f"http://127.0.0.1:{runner.addresses[0][1]}/token"
    finally:
        await runner.cleanup()


def provider(url: str, clock: list[float], scope: str | None = None) -> GrantedToken:
    return GrantedToken(url, "worker", lambda: SECRET, scope, ssl.create_default_context(), lambda: clock[0])


async def test_a_token_in_a_file_is_read_whenever_one_is_wanted(tmp_path: Path) -> None:
    file = tmp_path / "token"
    token = FileToken(file, "AEGIS_SASL_TOKEN_FILE")
    for text in ("one\n", "two"):
        file.write_text(text)
        assert await token.token() == text.strip()
    file.unlink()
    with pytest.raises(OSError, match=r"AEGIS_SASL_TOKEN_FILE: .* cannot be read"):
        await token.token()


async def test_a_token_is_asked_for_with_the_clients_secret_and_used_until_it_nears_its_end() -> None:
    clock = [0.0]
    async with giver() as (who, url):
        tokens = provider(url, clock, scope="kafka")
        assert [await tokens.token(), await tokens.token()] == ["one", "one"]
        assert who.asked == [(f"worker:{SECRET}", {"grant_type": ["client_credentials"], "scope": ["kafka"]})]
        who.answer = {"access_token": "two"}
        clock[0] = 79.9
        assert await tokens.token() == "one"
        clock[0] = 80.1
        assert await tokens.token() == "two"
        clock[0] += 61  # nothing was said of its life
        assert await tokens.token() == "two"
        assert len(who.asked) == 3


@pytest.mark.parametrize(
    ("status", "answer", "says"),
    [
        (401, {"error": "invalid_client"}, "gave no token .status 401.: mend AEGIS_SASL_USERNAME"),
        (302, b"", "gave no token .status 302."),
        (200, b"<html>", "answered with no `access_token`"),
        (200, {"token": "x"}, "answered with no `access_token`"),
        (200, b"\xff", "answered with no `access_token`"),
    ],
)
async def test_a_token_that_is_not_given_is_one_line_without_a_secret(status: int, answer: Any, says: str) -> None:
    async with giver() as (who, url):
        who.status, who.answer = status, answer
        with pytest.raises(OSError, match=says) as refused:
            await provider(url, [0.0]).token()
    error: BaseException | None = refused.value
    while error is not None:
        assert SECRET not in repr(error)
        error = error.__cause__ or error.__context__


async def test_a_token_url_that_does_not_answer_is_one_line() -> None:
    async with giver() as (_, url):
        pass
    with pytest.raises(OSError, match="AEGIS_SASL_TOKEN_URL does not answer"):
        await provider(url, [0.0]).token()
