"""How much a caller may ask: bytes of a request, and requests a second by a bucket of tokens of its own."""

from __future__ import annotations

import asyncio
import math
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from stream.web.access import CALLER
from stream.web.answers import Refusal

MOST_CALLERS = 10_000
"""Whose rate is known at a time; the one that has asked nothing for longest is forgotten, and begins with a full
bucket."""
SLOWEST_BODY = 30.0
"""Seconds for a body to come: whoever sends it byte by byte must not hold a connection for ever."""


@dataclass(slots=True)
class Bucket:
    """Tokens left, and when that was (seconds of the clock)."""

    left: float
    at: float


class Rate:
    """At most `per_second` on average, `burst` at once, for each caller."""

    def __init__(self, per_second: float, burst: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._per_second = per_second
        self._burst = burst
        self._clock = clock
        self._buckets: OrderedDict[str, Bucket] = OrderedDict()

    def take(self, caller: str, count: int = 1) -> float:
        """Takes `count` tokens (at most `burst` are asked for) and returns 0, or the seconds after which it is worth
        trying again, and takes none."""
        now, count = self._clock(), min(count, self._burst)
        bucket = self._buckets.setdefault(caller, Bucket(self._burst, now))
        self._buckets.move_to_end(caller)
        if len(self._buckets) > MOST_CALLERS:
            self._buckets.popitem(last=False)
        bucket.left = min(self._burst, bucket.left + (now - bucket.at) * self._per_second)
        bucket.at = now
        if bucket.left < count:
            return (count - bucket.left) / self._per_second
        bucket.left -= count
        return 0.0


@dataclass(frozen=True)
class Limits:
    """Of one service: `body_bytes` of a request after unpacking, and the rate; None for as fast as they come."""

    body_bytes: int
    rate: Rate | None = None

    def middleware(self) -> Middleware:
        """Answers 413 and 429; stands behind that of `Access`, which says who calls."""

        @web.middleware
        async def within(request: web.Request, handler: Handler) -> web.StreamResponse:
            if (request.content_length or 0) > self.body_bytes:
                raise Refusal(
                    413, f"a body has at most {self.body_bytes} bytes: send less at once", "request_too_large"
                )
            self.count(request)
            return await handler(request)

        return within

    def count(self, request: web.Request, count: int = 1) -> None:
        """Counts that the caller asks for `count` more. Raises Refusal (429) if that is too much now."""
        caller = request.get(CALLER)
        key = f"caller {caller.name}" if caller is not None else f"address {request.remote}"
        if self.rate is not None and (wait := self.rate.take(key, count)):
            raise too_many(wait)


async def read_body(request: web.Request) -> bytes:
    """The body, after unpacking. Raises Refusal (408) when it does not come in time, aiohttp's 413 when it is too
    large."""
    try:
        async with asyncio.timeout(SLOWEST_BODY):
            return await request.read()
    except TimeoutError:
        raise Refusal(408, f"the body did not come within {SLOWEST_BODY:g} s: send it at once", "timeout") from None


def too_many(wait: float) -> Refusal:
    """The answer to a caller who should ask again after so many seconds."""
    seconds = max(1, math.ceil(wait))
    message = f"too many requests at once: ask again after {seconds} s"
    return Refusal(429, message, "rate_limit_exceeded", headers={"Retry-After": str(seconds)})
