"""The gateway as one application, and its run from connecting to the last answer."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from functools import cache

import structlog
from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest

from experts.executor import Panel
from stream.expert_swaps import Supply
from stream.gateway import openapi
from stream.gateway.at_once import AtOnce
from stream.gateway.by_topics import ByTopics
from stream.gateway.counts import Counts
from stream.gateway.labels import Labels
from stream.gateway.moderations import Moderations
from stream.gateway.shapes import Way
from stream.gateway.ways import Room, ToVerdicts
from stream.labelling import Labelling
from stream.settings import Settings
from stream.web.access import Access
from stream.web.limits import Limits, Rate
from stream.web.serving import application, serve

log = structlog.get_logger()

MODERATIONS, LABELS, DESCRIPTION = "/v1/moderations", "/v1/labels", "/openapi.json"
OPEN = ("/metrics", DESCRIPTION, LABELS)
"""Paths that ask for no caller, but the last, which may be signed instead and looks at its caller itself."""


@dataclass(frozen=True)
class Bounds:
    """How much the gateway takes. `timeout`: seconds from a request to its verdicts; `waiting`: texts on their way at a
    time; `rate`, `burst`: texts and labels of one caller, a second and at once; `body_bytes`: of a request."""

    timeout: float
    waiting: int
    rate: float
    burst: int
    body_bytes: int


def make_app(
    settings: Settings, access: Access, bounds: Bounds, ways: Mapping[Way, ToVerdicts], labelling: Labelling
) -> web.Application:
    """The application, not started. `ways`, all of them running: those that are served, the first by default."""
    limits = Limits(bounds.body_bytes, Rate(bounds.rate, bounds.burst))
    room = Room(bounds.waiting)
    counts = Counts(CollectorRegistry(), lambda: room.taken)
    app = application(access, limits)
    app.middlewares.insert(0, counts.middleware())
    moderations = Moderations(settings.max_text_bytes, ways, limits, room, counts)
    app.add_routes(
        [
            web.post(MODERATIONS, moderations.answer),
            web.post(LABELS, Labels(access, limits, labelling, counts).answer),
            web.get(DESCRIPTION, _describe),
            web.get("/metrics", _exposing(counts)),
            web.get("/healthz", _healthy),
            web.get("/readyz", _readiness(ways)),
        ]
    )
    return app


async def run(
    settings: Settings,
    access: Access,
    bounds: Bounds,
    address: tuple[str, int],
    by_topics: bool,
    panel: Panel | None,
    supply: Supply | None = None,
) -> None:
    """Serves until SIGTERM, then lets what was begun end within AEGIS_DRAIN_TIMEOUT. `by_topics`: that way is served,
    by default; `panel`: experts, if verdicts at once are served.

    Raises SettingsError, BrokerError, TopicsError or EnsembleError, one line."""
    async with AsyncExitStack() as stack:
        ways: dict[Way, ByTopics | AtOnce] = {}
        if panel is not None:
            direct = await stack.enter_async_context(AtOnce(settings, panel, bounds.timeout, supply))
            ways["direct"] = direct
        if by_topics:
            ways = {"topics": await stack.enter_async_context(ByTopics(settings, bounds.timeout)), **ways}
        labelling = await stack.enter_async_context(Labelling(settings))
        app = make_app(settings, access, bounds, ways, labelling)
        serving = serve(app, *address, settings.drain_timeout, _listening(tuple(ways)))
        await _beside([way.run for way in ways.values()], serving)


async def _beside(works: list[Callable[[], Awaitable[None]]], serving: Awaitable[None]) -> None:
    """Awaits `serving` while the works go on; what one of them raises ends both, and is raised."""
    main = asyncio.ensure_future(serving)
    tasks = [asyncio.ensure_future(work()) for work in works]
    try:
        await asyncio.wait([main, *tasks], return_when=asyncio.FIRST_COMPLETED)
        if not main.done():
            main.cancel()  # it still lets what was begun end
            await asyncio.wait([main])
    finally:
        for task in tasks:
            task.cancel()
        ended = await asyncio.gather(*tasks, return_exceptions=True)
    for error in ended:
        if isinstance(error, BaseException) and not isinstance(error, asyncio.CancelledError):
            raise _first(error)
    await main


def _first(error: BaseException) -> BaseException:
    """The error of a group: one is enough to end with, and reads as one line."""
    return _first(error.exceptions[0]) if isinstance(error, BaseExceptionGroup) else error


def _listening(ways: tuple[Way, ...]) -> Callable[[str], None]:
    def tell(address: str) -> None:
        log.info("gateway_listening", address=address, modes=list(ways))

    return tell


@cache
def _description() -> str:
    return openapi.text()


async def _describe(_: web.Request) -> web.Response:
    return web.Response(text=_description(), content_type="application/json")


def _exposing(counts: Counts) -> Callable[[web.Request], Awaitable[web.Response]]:
    async def expose(_: web.Request) -> web.Response:
        return web.Response(body=generate_latest(counts.registry), headers={"Content-Type": CONTENT_TYPE_LATEST})

    return expose


async def _healthy(_: web.Request) -> web.Response:
    return web.Response(text="ok\n")


def _readiness(ways: Mapping[Way, ToVerdicts]) -> Callable[[web.Request], Awaitable[web.Response]]:
    async def readiness(_: web.Request) -> web.Response:
        troubles = [f"{name}: {why}" for name, way in ways.items() if (why := way.trouble())]
        if not troubles:
            return web.Response(text="ready\n")
        return web.Response(status=503, text=f"not ready: {'; '.join(troubles)}\n")

    return readiness
