"""What a probe over HTTP is told."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import aiohttp
import pytest

from experts.base import Passage
from experts.executor import Panel
from experts.fakes import ConstantExpert
from stream.broker import free_port
from stream.errors import SettingsError
from stream.health import RECOVERING, Health
from stream.metrics import Metrics


@asynccontextmanager
async def served(trouble: Callable[[], str | None]) -> AsyncIterator[Callable[[str], Awaitable[tuple[int, str]]]]:
    port = free_port()
    health = Health(port, Metrics(), trouble)
    await health.start()
    async with aiohttp.ClientSession() as client:

        async def get(path: str) -> tuple[int, str]:
            async with client.get(f"http://127.0.0.1:{port}{path}") as response:
                return response.status, await response.text()

        try:
            yield get
        finally:
            await health.stop()


async def test_a_worker_is_ready_when_nothing_troubles_it_and_says_what_does() -> None:
    troubles: list[str | None] = [RECOVERING, None]
    async with served(lambda: troubles[0]) as get:
        assert await get("/readyz") == (503, "not ready: recovering or between generations\n")
        assert await get("/healthz") == (200, "ok\n")
        troubles.pop(0)
        assert await get("/readyz") == (200, "ready\n")


async def test_a_dead_thread_of_an_expert_turns_readiness_off(monkeypatch: pytest.MonkeyPatch) -> None:
    def die(*_: object) -> None:
        raise MemoryError

    panel = Panel([ConstantExpert()])
    try:
        async with served(lambda: panel.failure) as get:
            assert await get("/readyz") == (200, "ready\n")
            monkeypatch.setattr("experts.lane.ask", die)
            panel.advise([Passage("user", "x")])
            panel.close()  # the thread has said its last word when it has ended
            status, text = await get("/readyz")
    finally:
        panel.close()
    assert status == 503
    assert text.startswith("not ready: thread expert-constant@1 died of MemoryError at ")


async def test_metrics_are_exposed() -> None:
    async with served(lambda: None) as get:
        status, text = await get("/metrics")
    assert status == 200
    assert "aegis_ready 0.0" in text


async def test_a_port_that_is_taken_is_refused_with_the_setting_to_change() -> None:
    port = free_port()
    first, second = (Health(port, Metrics(), lambda: None) for _ in range(2))
    await first.start()
    try:
        with pytest.raises(SettingsError, match=r"cannot be listened on .*: choose another with AEGIS_HTTP_PORT"):
            await second.start()
    finally:
        await second.stop()
        await first.stop()
