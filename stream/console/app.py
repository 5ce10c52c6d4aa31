"""The console as one aiohttp application: the live page, the review queue, and what both are served with."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from aiohttp import web

from stream.console import live, turn
from stream.console.pages import add_static
from stream.console.review import app as review
from stream.console.review.options import Options
from stream.settings import Settings
from stream.web.access import Access
from stream.web.limits import Limits, Rate
from stream.web.serving import application

STYLESHEET: Final = "/static/base.css"
OPEN: Final = (STYLESHEET, "/static/icon.svg")
"""What the page needs on which one signs in."""
BODY_BYTES: Final = 128 << 10
"""The largest thing that is posted is a vote, of a kilobyte."""
PER_SECOND, BURST = 50.0, 500
"""Requests of one caller: a page that is opened asks for thirty files, and a screen that scrolls for ten a second."""


def make_app(
    settings: Settings, access: Access, metrics: Sequence[str] = (), queue: Options | None = None
) -> web.Application:
    """The application, not started; `metrics` are addresses of workers' `/metrics`, for what experts cost; `queue` says
    how the review queue is run."""
    app = application(access, Limits(BODY_BYTES, Rate(PER_SECOND, BURST)), STYLESHEET)
    add_static(app)
    app.add_routes([web.get("/healthz", _healthy), web.get("/readyz", _healthy)])
    live.attach(app, settings, metrics)
    turn.attach(app, settings)
    review.attach(app, settings, queue)
    return app


async def _healthy(request: web.Request) -> web.Response:
    """Ready without a broker, too: that it is away is what the page has to tell then."""
    return web.Response(text="ok\n")
