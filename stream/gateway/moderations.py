"""POST `/v1/moderations`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

import msgspec
from aiohttp import web

from stream.gateway import asking
from stream.gateway.answering import response
from stream.gateway.counts import Counts
from stream.gateway.shapes import Way
from stream.gateway.ways import Room, ToVerdicts
from stream.web.access import CALLER
from stream.web.answers import Refusal
from stream.web.limits import Limits, read_body

_TRACED = re.compile(r"[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}")
"""W3C trace context, `traceparent`."""
_STATE = re.compile(r"[\x20-\x7e]{1,512}")


@dataclass(frozen=True)
class Moderations:
    """The handler. `ways`: those that are served, the first by default."""

    most_text_bytes: int
    ways: Mapping[Way, ToVerdicts]
    limits: Limits
    room: Room
    counts: Counts

    async def answer(self, request: web.Request) -> web.Response:
        """Raises Refusal."""
        asked = asking.decode(await read_body(request), request.headers)
        way = self._way(asked.aegis.mode)
        key = asking.checked_key(request.headers)
        turns = asking.turns(asked, request[CALLER], key, datetime.now(UTC), self.most_text_bytes)
        self.limits.count(request, len(turns) - 1)  # a text is what costs; the request itself has counted one
        with self.room.of(len(turns)), self.counts.timed(way):
            verdicts = await self.ways[way].verdicts(turns, traced(request.headers), key is not None)
        for verdict in verdicts:
            self.counts.texts.labels(way, verdict.label).inc()
        body = msgspec.json.encode(response(verdicts, way))
        return web.Response(body=body, content_type="application/json")

    def _way(self, asked: Way | None) -> Way:
        way = next(iter(self.ways)) if asked is None else asked
        if way not in self.ways:
            served = " and ".join(self.ways)
            raise Refusal(400, f"mode {way} is not served here, only {served}: see `aegis gateway --mode`", "mode")
        return way


def traced(headers: Mapping[str, str]) -> dict[str, str]:
    """The trace that a request is part of, as its turns carry it on."""
    found = {name: headers[name] for name in ("traceparent", "tracestate") if name in headers}
    if not _TRACED.fullmatch(found.get("traceparent", "")):
        return {}
    if not _STATE.fullmatch(found.get("tracestate", "")):
        found.pop("tracestate", None)
    return found
