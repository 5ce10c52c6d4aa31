"""The review queue over HTTP: the page `/review`, and what it asks for under `/api/review`."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Final, TypeVar

import msgspec
from aiohttp import web

from stream.console.pages import STATIC, page
from stream.console.review import answers
from stream.console.review.candidates import KEY_BYTES
from stream.console.review.download import download
from stream.console.review.options import Options
from stream.console.review.room import REVIEW, Review
from stream.errors import StreamError
from stream.records import LabelName
from stream.settings import Settings
from stream.web.access import CALLER
from stream.web.answers import Refusal
from stream.web.callers import Caller

MOST_CATEGORIES: Final = 16
"""Of one vote."""
_Body = TypeVar("_Body")
_Answer = TypeVar("_Answer")


class _Turn(msgspec.Struct, forbid_unknown_fields=True):
    turn: str


class _Vote(msgspec.Struct, forbid_unknown_fields=True):
    turn: str
    label: LabelName
    categories: tuple[str, ...] = ()


class _Back(msgspec.Struct, forbid_unknown_fields=True):
    before: str | None = None


def attach(app: web.Application, settings: Settings, options: Options | None = None) -> None:
    """Add the queue to an application behind `stream.web.access`."""
    review = app[REVIEW] = Review(settings, options or Options())
    app.cleanup_ctx.append(review.running)
    app.add_routes(
        [
            web.get("/review", _page),
            web.get("/api/review/state", _state),
            web.get("/api/review/agreement", _agreement),
            web.get("/api/review/experts/{turn}", _experts),
            web.post("/api/review/next", _next),
            web.post("/api/review/vote", _vote),
            web.post("/api/review/skip", _skip),
            web.post("/api/review/back", _back),
            web.post("/api/review/rest", _rest),
            web.get("/api/review/export", download),
        ]
    )


async def _page(request: web.Request) -> web.Response:
    main = (STATIC / "review" / "review.html").read_text(encoding="utf-8")
    return page(
        request,
        "Review",
        main,
        current="/review",
        scripts=["/static/review/review.js"],
        styles=["/static/review/review.css"],
    )


async def _state(request: web.Request) -> web.Response:
    review, caller = _called(request)
    return web.json_response(answers.state(review, caller, _since_ms(request)))


async def _agreement(request: web.Request) -> web.Response:
    review, caller = _called(request)
    return web.json_response(answers.agreement_of(review, caller, _since_ms(request)))


async def _next(request: web.Request) -> web.Response:
    review, caller = _called(request)
    _refuse_in_trouble(review)
    if not review.feed.is_ready:
        return web.json_response({"turn": None, "why": "reading"})
    view = await _answered(review.desk.next(caller))
    return web.json_response({"turn": answers.turn(view) if view is not None else None, "why": "empty"})


async def _vote(request: web.Request) -> web.Response:
    review, caller = _called(request)
    asked = await _body(request, _Vote)
    if len(asked.categories) > MOST_CATEGORIES or not answers.RISK_NAMES.issuperset(asked.categories):
        raise Refusal(400, f"categories are at most {MOST_CATEGORIES} of the known risks", "categories", "categories")
    _refuse_in_trouble(review)
    cast, is_new = await _answered(review.desk.vote(caller, _key(asked.turn), asked.label, asked.categories))
    return web.json_response({"saved": True, "changed": is_new, "label": cast.label})


async def _skip(request: web.Request) -> web.Response:
    review, caller = _called(request)
    review.desk.skip(caller, _key((await _body(request, _Turn)).turn))
    return web.json_response({})


async def _rest(request: web.Request) -> web.Response:
    review, caller = _called(request)
    review.desk.rest(caller)
    return web.json_response({})


async def _back(request: web.Request) -> web.Response:
    review, caller = _called(request)
    asked = await _body(request, _Back)
    _refuse_in_trouble(review)
    view = await _answered(review.desk.back(caller, _key(asked.before) if asked.before is not None else None))
    return web.json_response({"turn": answers.turn(view) if view is not None else None})


async def _experts(request: web.Request) -> web.Response:
    review, caller = _called(request)
    _refuse_in_trouble(review)
    candidate, verdict, label = await _answered(review.desk.verdict(caller, _key(request.match_info["turn"])))
    return web.json_response(answers.experts(candidate, verdict, label))


def _called(request: web.Request) -> tuple[Review, Caller]:
    return request.app[REVIEW], request[CALLER]


def _refuse_in_trouble(review: Review) -> None:
    """At once, instead of after ten seconds of waiting for the broker."""
    if review.feed.trouble is not None:
        raise Refusal(503, review.feed.trouble, "broker")


async def _body(request: web.Request, kind: type[_Body]) -> _Body:
    try:
        return msgspec.json.decode(await request.read(), type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Refusal(400, "the body is not what this address takes", "body") from error


def _key(text: str) -> bytes:
    try:
        key = bytes.fromhex(text)
    except ValueError:
        key = b""
    if len(key) != KEY_BYTES:
        raise Refusal(400, f"a turn is named by {2 * KEY_BYTES} hexadecimal digits", "turn", "turn")
    return key


def _since_ms(request: web.Request) -> int:
    """Midnight where the annotator is, which the page knows."""
    given = request.query.get("since", "0")
    if not given.isascii() or not given.isdigit() or len(given) > 15:
        raise Refusal(400, "since is a number of milliseconds since 1970", "since", "since")
    return int(given)


async def _answered(work: Awaitable[_Answer]) -> _Answer:
    try:
        return await work
    except StreamError as error:
        raise Refusal(503, str(error), "broker") from error
