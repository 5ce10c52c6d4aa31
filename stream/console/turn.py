"""The page of one turn: what `aegis explain` tells of it."""

from __future__ import annotations

import asyncio
from typing import Final
from urllib.parse import quote

import msgspec
from aiohttp import web

from stream.console.pages import STATIC, page
from stream.errors import BrokerError, DataError, StreamError
from stream.settings import Settings
from stream.web.answers import Refusal

LONGEST_ID: Final = 128
"""Characters, as the contract allows."""
AT_ONCE: Final = 2
"""Explanations that are made at a time: each reads topics, for seconds where they are long."""
PATIENCE: Final = 60.0
"""Seconds for one: somebody waits at a page."""


def attach(app: web.Application, settings: Settings) -> None:
    """Adds the page, and the same as JSON."""
    free = asyncio.Semaphore(AT_ONCE)

    async def explained(request: web.Request) -> web.Response:
        from stream.explain.explaining import (
            explain,  # with ONNX Runtime and numpy, a second that the start need not take
        )

        turn_id = _asked(request.match_info["id"])
        try:
            async with asyncio.timeout(PATIENCE), free:
                told = await explain(settings, turn_id)
        except TimeoutError:
            remedy = f"look with `aegis explain {turn_id} --since TIME`"
            raise Refusal(504, f"this took over {PATIENCE:g} s: {remedy}", "took_too_long") from None
        except DataError as error:
            raise Refusal(404, str(error), "no_verdict") from error
        except StreamError as error:
            raise Refusal(503 if isinstance(error, BrokerError) else 500, str(error), "not_read") from error
        return web.Response(body=msgspec.json.encode(told), content_type="application/json")

    app.router.add_get("/turn", _find)
    app.router.add_get("/turn/{id}", _page)
    app.router.add_get("/api/explain/{id}", explained)


async def _find(request: web.Request) -> web.Response:
    raise web.HTTPSeeOther(f"/turn/{quote(_asked(request.query.get('id', '').strip()), safe='')}")


async def _page(request: web.Request) -> web.Response:
    _asked(request.match_info["id"])
    main = (STATIC / "turn" / "turn.html").read_text(encoding="utf-8")
    scripts, styles = ("/static/turn/main.js",), ("/static/turn/turn.css",)
    return page(request, "Turn", main, current="/turn", scripts=scripts, styles=styles)


def _asked(turn_id: str) -> str:
    if not 1 <= len(turn_id) <= LONGEST_ID:
        raise Refusal(400, f"a turn's id has 1 to {LONGEST_ID} characters: give it in full")
    return turn_id
