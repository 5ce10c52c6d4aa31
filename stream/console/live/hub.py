"""Server-sent events: a snapshot, then once a second what has changed, made once for all browsers.

An event's id is `boot-number`. A browser that comes back names the last one it has seen, and gets what it missed, or a
snapshot where that is longer ago than what is kept, or of another life of the console."""

from __future__ import annotations

import asyncio
import secrets
from collections import deque
from typing import Final

import msgspec
from aiohttp import web

from stream.console.live.state import Live
from stream.web.answers import Refusal

EVERY: Final = 1.0
"""Seconds between two events."""
KEPT: Final = 120
"""Events kept for browsers that come back: two minutes."""
MOST_WAITING: Final = 30
"""Events that a browser may be behind; one that reads slower is let go, and comes back to a snapshot."""
MOST_CLIENTS: Final = 200
RETRY_MS: Final = 2_000
"""After which a browser comes back."""


class Hub:
    """The events of one console, and who listens."""

    def __init__(self, live: Live) -> None:
        self._live = live
        self._boot = secrets.token_hex(4)
        self._number = 0
        self._kept: deque[tuple[int, bytes]] = deque(maxlen=KEPT)
        self._parts: dict[str, bytes] = {}
        self._listeners: set[asyncio.Queue[bytes | None]] = set()

    @property
    def listeners(self) -> int:
        """Browsers that listen."""
        return len(self._listeners)

    async def run(self) -> None:
        """For ever: an event a second, also when nothing changed, which tells that the console lives."""
        while True:
            await asyncio.sleep(EVERY)
            self.tick()

    def tick(self) -> None:
        """Make the next event, and hand it to all who listen."""
        now = self._live.advance()
        parts = self._live.parts(now)
        changed = {name: msgspec.Raw(part) for name, part in parts.items() if self._parts.get(name) != part}
        self._parts = parts
        self._number += 1
        counts, latency = self._live.traffic.counts, self._live.traffic.latency
        event = self._event("tick", now, changed, counts.clean(), latency.clean(), self._live.advice.clean())
        self._kept.append((self._number, event))
        for queue in [queue for queue in self._listeners if queue.full()]:
            self._listeners.discard(queue)
            while not queue.empty():
                queue.get_nowait()
            queue.put_nowait(None)
        for queue in self._listeners:
            queue.put_nowait(event)

    def snapshot(self) -> bytes:
        """All of it, as of the last tick."""
        now = self._live.advance()
        self._parts = self._parts or self._live.parts(now)
        whole = {name: msgspec.Raw(part) for name, part in self._parts.items()}
        traffic = self._live.traffic
        return self._event("snapshot", now, whole, traffic.counts.oldest, traffic.latency.oldest, 0)

    def _event(
        self, kind: str, now: float, parts: dict[str, msgspec.Raw], second: int, slot: int, advised: int
    ) -> bytes:
        """`second`, `slot` and `advised`: from which slot on counts, latencies and weights are told."""
        told = {
            "now": round(now, 3),
            "series": self._live.traffic.series(second),
            "latency": self._live.traffic.latencies(slot),
            "weights": self._live.advice.weights(advised),
        }
        data = msgspec.json.encode({**told, **parts})
        return b"event: %s\nid: %s-%d\ndata: %s\n\n" % (kind.encode(), self._boot.encode(), self._number, data)

    def missed(self, last: str) -> list[bytes] | None:
        """The events after the one with this id; None when not all of them are known any more."""
        boot, _, number = last.partition("-")
        if boot != self._boot or not number.isdecimal() or len(number) > 15:
            return None
        seen = int(number)
        if seen > self._number or (self._kept and seen < self._kept[0][0] - 1):
            return None
        return [event for place, event in self._kept if place > seen]

    async def serve(self, request: web.Request) -> web.StreamResponse:
        """`GET /events`."""
        if len(self._listeners) >= MOST_CLIENTS:
            raise Refusal(503, "too many browsers listen: close some", headers={"Retry-After": "30"})
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream", "X-Accel-Buffering": "no"})
        queue: asyncio.Queue[bytes | None] = asyncio.Queue(MOST_WAITING)
        missed = self.missed(request.headers.get("Last-Event-ID", ""))
        begin = b"".join(missed) if missed is not None else self.snapshot()
        self._listeners.add(queue)
        try:
            await response.prepare(request)
            await response.write(b"retry: %d\n\n" % RETRY_MS + begin)
            while (event := await queue.get()) is not None:
                await response.write(event)
        except ConnectionError:
            pass  # the browser went
        finally:
            self._listeners.discard(queue)
        return response

    def close(self) -> None:
        """Let all go, so that the server can end."""
        for queue in self._listeners:
            while queue.full():
                queue.get_nowait()
            queue.put_nowait(None)
        self._listeners.clear()
