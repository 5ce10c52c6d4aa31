"""What the gateway counts, in a registry that is handed in. Never an id, a caller or a text as a label."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from stream.gateway.shapes import Way
from stream.metrics import SECONDS


class Counts:
    """One instance a gateway. `taken` tells how many texts are on their way."""

    def __init__(self, registry: CollectorRegistry, taken: Callable[[], int]) -> None:
        self.registry = registry
        self.requests = Counter(
            "aegis_gateway_requests", "Requests answered, by path and status.", ["path", "status"], registry=registry
        )
        self.texts = Counter(
            "aegis_gateway_texts", "Texts with a verdict, by way and label.", ["way", "label"], registry=registry
        )
        self.seconds = Histogram(
            "aegis_gateway_seconds",
            "From a request's turns to their verdicts, by way; also of those that had none in time.",
            ["way"],
            buckets=SECONDS,
            registry=registry,
        )
        self.labels = Counter("aegis_gateway_labels", "Labels, by what became of them.", ["outcome"], registry=registry)
        waiting = Gauge("aegis_gateway_texts_waiting", "Texts on their way to a verdict now.", registry=registry)
        waiting.set_function(taken)

    @contextmanager
    def timed(self, way: Way) -> Iterator[None]:
        """Observes how long the block took."""
        began = time.perf_counter()
        try:
            yield
        finally:
            self.seconds.labels(way).observe(time.perf_counter() - began)

    def middleware(self) -> Middleware:
        """Counts answers; the outermost, so that it sees what callers see."""

        @web.middleware
        async def count(request: web.Request, handler: Handler) -> web.StreamResponse:
            try:
                answer = await handler(request)
            except web.HTTPException as redirect:
                self._count(request, redirect.status)
                raise
            self._count(request, answer.status)
            return answer

        return count

    def _count(self, request: web.Request, status: int) -> None:
        resource = request.match_info.route.resource
        path = "other" if resource is None else resource.canonical  # anybody can make addresses up
        self.requests.labels(path, str(status)).inc()
