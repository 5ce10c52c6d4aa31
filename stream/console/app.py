"""The console as one aiohttp application: the live page, the review queue, and what both are served with."""

from __future__ import annotations

from typing import Final

from aiohttp import web

from stream.console.pages import STATIC, add_static, page
from stream.settings import Settings

SETTINGS: Final = web.AppKey("settings", Settings)


def make_app(settings: Settings) -> web.Application:
    """The application, not started."""
    app = web.Application()
    app[SETTINGS] = settings
    add_static(app)
    app.router.add_get("/", _live)
    return app


async def _live(request: web.Request) -> web.Response:
    return page(request, "Live", (STATIC / "live.html").read_text(encoding="utf-8"), current="/")
