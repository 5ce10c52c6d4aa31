"""Metrics, health and readiness over HTTP, answered by the worker's own loop: if that is stuck, health is not answered
either."""

from collections.abc import Callable

from aiohttp import web
from prometheus_client.exposition import choose_encoder

from stream.condition import Condition
from stream.errors import SettingsError
from stream.metrics import Metrics

RECOVERING = "recovering or between generations"


class Health:
    """`/metrics`, in OpenMetrics with exemplars where the scraper asks for it; `/healthz`: 200 unless a restart is what
    mends the worker; `/readyz`: 200 when turns are being judged, else 503 and why. Port 0 serves nothing."""

    def __init__(self, port: int, metrics: Metrics, condition: Callable[[], Condition]) -> None:
        """`condition` says what the worker is doing now."""
        self._port = port
        self._metrics = metrics
        self._condition = condition
        self._runner: web.AppRunner | None = None

    async def start(self) -> None:
        """Raises SettingsError if the port is taken."""
        if not self._port:
            return
        app = web.Application()
        app.add_routes(
            [web.get("/metrics", self._expose), web.get("/healthz", self._health), web.get("/readyz", self._readiness)]
        )
        self._runner = web.AppRunner(app, access_log=None)
        await self._runner.setup()
        try:
            await web.TCPSite(self._runner, port=self._port).start()
        except OSError as error:
            raise SettingsError(
                f"port {self._port} cannot be listened on ({error.strerror}): choose another with AEGIS_HTTP_PORT"
            ) from error

    async def stop(self) -> None:
        if self._runner is not None:
            await self._runner.cleanup()

    async def _expose(self, request: web.Request) -> web.Response:
        encode, content_type = choose_encoder(",".join(request.headers.getall("Accept", [])))
        return web.Response(body=encode(self._metrics.registry), headers={"Content-Type": content_type})

    async def _health(self, _: web.Request) -> web.Response:
        condition = self._condition()
        if condition.needs_restart:
            return web.Response(status=503, text=f"to be restarted: {condition.why}\n")
        return web.Response(text="ok\n")

    async def _readiness(self, _: web.Request) -> web.Response:
        condition = self._condition()
        if condition.is_ready:
            return web.Response(text="ready\n")
        return web.Response(status=503, text=f"not ready: {condition.why}\n")
