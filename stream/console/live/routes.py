"""The live page's addresses: the page, its events, and the contexts asked for one by one or in pieces of a list."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from traceback import extract_tb
from typing import Any, Final

import msgspec
import structlog
from aiohttp import web

from stream.console.live.contexts import COLUMNS, ORDERS
from stream.console.live.costs import Costs
from stream.console.live.hub import Hub
from stream.console.live.reader import TopicReader
from stream.console.live.state import Live
from stream.console.pages import STATIC, page
from stream.errors import PipelineError
from stream.settings import Settings
from stream.web.answers import Refusal

log = structlog.get_logger()

LIVE: Final = web.AppKey("live", Live)
HUB: Final = web.AppKey("hub", Hub)
MOST_ROWS: Final = 200
LONGEST_QUERY: Final = 256
LONGEST_NUMBER: Final = 9


def attach(app: web.Application, settings: Settings, metrics: Sequence[str] = ()) -> None:
    """Adds the live page. While the application runs, it follows the broker that the settings name; `metrics` are
    addresses of workers' metrics, for what experts cost."""
    app[LIVE] = Live(settings, Costs(metrics))
    app[HUB] = Hub(app[LIVE])
    app.router.add_get("/", _page)
    app.router.add_get("/events", _events)
    app.router.add_get("/api/live", _now)
    app.router.add_get("/api/live/contexts", _contexts)
    app.router.add_get("/api/live/contexts/{name:.+}", _context)

    async def follow(app: web.Application) -> AsyncIterator[None]:
        live = app[LIVE]
        reader = TopicReader(settings, live.link, live.take, live.looked, live.counted_back)
        tasks = [asyncio.create_task(work) for work in (reader.run(), app[HUB].run(), live.costs.run())]
        for task in tasks:
            task.add_done_callback(_end_with)
        yield
        for task in tasks:
            task.remove_done_callback(_end_with)
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    app.cleanup_ctx.append(follow)
    app.on_shutdown.append(_let_go)


def _end_with(task: asyncio.Task[None]) -> None:
    """A console that follows nothing any more must not go on. What is raised here ends the loop."""
    if task.cancelled():
        log.error("console_failed", error="CancelledError", at=task.get_name())
        raise SystemExit(PipelineError.exit_code)
    if (error := task.exception()) is not None:
        frame = extract_tb(error.__traceback__)[-1]
        log.error("console_failed", error=type(error).__name__, at=f"{frame.name}:{frame.lineno}")
        raise SystemExit(PipelineError.exit_code) from error


async def _let_go(app: web.Application) -> None:
    app[HUB].close()


async def _page(request: web.Request) -> web.Response:
    return page(
        request,
        "Live",
        (STATIC / "live" / "live.html").read_text(encoding="utf-8"),
        current="/",
        scripts=("/static/live/main.js",),
        styles=("/static/vendor/uPlot-1.6.32/uPlot.min.css", "/static/live/live.css"),
    )


async def _events(request: web.Request) -> web.StreamResponse:
    return await request.app[HUB].serve(request)


async def _now(request: web.Request) -> web.Response:
    """What the page shows, without the series: for scripts."""
    live = request.app[LIVE]
    parts = live.parts(live.advance())
    return _json({name: msgspec.Raw(part) for name, part in parts.items()})


async def _contexts(request: web.Request) -> web.Response:
    query, sort = request.query.get("q", "")[:LONGEST_QUERY], request.query.get("sort", "-attention")
    if sort.removeprefix("-") not in ORDERS:
        raise Refusal(400, f"sort must be one of {', '.join(ORDERS)}, with a - before it for the largest")
    offset, limit = _number(request, "offset", 0), min(_number(request, "limit", 100), MOST_ROWS)
    return _json({"columns": COLUMNS, **request.app[LIVE].page(query, sort, offset, limit)})


async def _context(request: web.Request) -> web.Response:
    found = request.app[LIVE].detail(request.match_info["name"])
    if found is None:
        raise Refusal(404, "no verdict and no label of this context was seen")
    return _json(found)


def _number(request: web.Request, name: str, otherwise: int) -> int:
    text = request.query.get(name, str(otherwise))
    if not text.isdecimal() or len(text) > LONGEST_NUMBER:
        raise Refusal(400, f"{name} must be a number from 0 on")
    return int(text)


def _json(value: Any) -> web.Response:
    return web.Response(body=msgspec.json.encode(value), content_type="application/json")
