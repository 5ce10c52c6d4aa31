"""Metrics, health and readiness over HTTP, answered by the worker's own loop: if that is stuck, health is not answered
either."""

from collections.abc import Callable

from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from stream.errors import SettingsError
from stream.metrics import Metrics

RECOVERING = "recovering or between generations"


class Health:
    """`/metrics`, `/healthz` (the loop turns) and `/readyz` (partitions restored, view caught up, every thread of the
    experts alive; else 503 and why). Port 0 serves nothing."""

    def __init__(self, port: int, metrics: Metrics, trouble: Callable[[], str | None]) -> None:
        """`trouble` says why the worker is not ready, None when it is."""
        self._port = port
        self._metrics = metrics
        self._trouble = trouble
        self._runner: web.AppRunner | None = None

    async def start(self) -> None:
        """Raises SettingsError if the port is taken."""
        if not self._port:
            return
        app = web.Application()
        app.add_routes(
            [web.get("/metrics", self._expose), web.get("/healthz", self._healthy), web.get("/readyz", self._readiness)]
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

    async def _expose(self, _: web.Request) -> web.Response:
        return web.Response(body=generate_latest(self._metrics.registry), headers={"Content-Type": CONTENT_TYPE_LATEST})

    async def _healthy(self, _: web.Request) -> web.Response:
        return web.Response(text="ok\n")

    async def _readiness(self, _: web.Request) -> web.Response:
        trouble = self._trouble()
        if trouble is None:
            return web.Response(text="ready\n")
        return web.Response(status=503, text=f"not ready: {trouble}\n")
