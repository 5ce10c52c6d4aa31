"""What a probe over HTTP is told."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace

import aiohttp
import pytest

from experts.base import Passage
from experts.executor import Panel
from experts.fakes import ConstantExpert
from stream.broker import free_port
from stream.condition import SILENCE_SECONDS, Condition, Facts, State, condition_of
from stream.errors import SettingsError
from stream.health import RECOVERING, Health
from stream.metrics import Metrics

WELL = Facts(
    is_stopping=False,
    is_started=True,
    failure=None,
    trouble=None,
    is_restoring=False,
    view_left=None,
    silence=5.0,
    stood=1.0,
    stall=120.0,
)
Get = Callable[..., Awaitable[tuple[int, str]]]


@asynccontextmanager
async def served(condition: Callable[[], Condition], metrics: Metrics | None = None) -> AsyncIterator[Get]:
    port = free_port()
    health = Health(port, metrics or Metrics(), condition)
    await health.start()
    async with aiohttp.ClientSession() as client:

        async def get(path: str, **headers: str) -> tuple[int, str]:
            async with client.get(f"http://127.0.0.1:{port}{path}", headers=headers) as response:
                return response.status, await response.text()

        try:
            yield get
        finally:
            await health.stop()


LEFT = "recovering: 340,000 of 1,000,000 changelog records (34 %), 6 s left"


@pytest.mark.parametrize(
    ("facts", "state", "health", "ready", "why"),
    [
        (replace(WELL), State.READY, 200, 200, "ready"),
        (
            replace(WELL, is_started=False, trouble=RECOVERING),
            State.STARTING,
            200,
            503,
            "starting: it checks its topics",
        ),
        (replace(WELL, trouble=RECOVERING), State.RECOVERING, 200, 503, "recovering or between generations"),
        (replace(WELL, trouble=LEFT, is_restoring=True, view_left=9), State.RECOVERING, 200, 503, LEFT),
        (replace(WELL, trouble=RECOVERING, view_left=1234), State.CATCHING_UP, 200, 503, "1,234 records of moments.v1"),
        (replace(WELL, silence=SILENCE_SECONDS + 1), State.BROKER_SILENT, 200, 503, "no broker has answered for 16 s"),
        (replace(WELL, stood=61.0), State.STALLED, 200, 503, "stood for 61 s: at 120 s the worker ends"),
        (replace(WELL, failure="thread core died"), State.EXPERT_DEAD, 503, 503, "thread core died"),
        (replace(WELL, is_stopping=True, failure="x", trouble=RECOVERING), State.DRAINING, 200, 503, "told to end"),
    ],
    ids=lambda value: str(value) if isinstance(value, State) else "",
)
async def test_each_condition_has_its_word_and_its_answers(
    facts: Facts, state: State, health: int, ready: int, why: str
) -> None:
    condition = condition_of(facts)
    assert condition.state is state
    async with served(lambda: condition) as get:
        assert (await get("/healthz"))[0] == health
        status, text = await get("/readyz")
    assert status == ready
    assert why in text


async def test_a_dead_thread_of_an_expert_asks_for_a_restart(monkeypatch: pytest.MonkeyPatch) -> None:
    def die(*_: object) -> None:
        raise MemoryError

    panel = Panel([ConstantExpert()])
    try:
        async with served(lambda: condition_of(replace(WELL, failure=panel.failure))) as get:
            assert await get("/readyz") == (200, "ready\n")
            assert await get("/healthz") == (200, "ok\n")
            monkeypatch.setattr("experts.lane.ask", die)
            panel.advise([Passage("user", "x")])
            panel.close()  # the thread has said its last word when it has ended
            answers = [await get("/readyz"), await get("/healthz")]
    finally:
        panel.close()
    died = "thread expert-constant@1 died of MemoryError at "
    assert [status for status, _ in answers] == [503, 503]
    assert answers[0][1].startswith(f"not ready: {died}")
    assert answers[1][1].startswith(f"to be restarted: {died}")


async def test_metrics_are_exposed_and_with_exemplars_where_they_are_understood() -> None:
    metrics = Metrics()
    metrics.latency.observe_all([0.2, 0.02], {0: "0af7651916cd43dd8448eb211c80319c"})
    async with served(lambda: condition_of(WELL), metrics) as get:
        plain = await get("/metrics")
        rich = await get("/metrics", Accept="application/openmetrics-text;version=1.0.0;q=0.5,text/plain;q=0.3")
    assert [plain[0], rich[0]] == [200, 200]
    assert "aegis_ready 0.0" in plain[1]
    assert "trace_id" not in plain[1]
    line = next(line for line in rich[1].splitlines() if line.startswith('aegis_latency_seconds_bucket{le="0.25"}'))
    assert line.startswith(
        'aegis_latency_seconds_bucket{le="0.25"} 2.0 # {trace_id="0af7651916cd43dd8448eb211c80319c"} 0.2'
    )
    assert rich[1].endswith("# EOF\n")


async def test_a_port_that_is_taken_is_refused_with_the_setting_to_change() -> None:
    port = free_port()
    first, second = (Health(port, Metrics(), lambda: condition_of(WELL)) for _ in range(2))
    await first.start()
    try:
        with pytest.raises(SettingsError, match=r"cannot be listened on .*: choose another with AEGIS_HTTP_PORT"):
            await second.start()
    finally:
        await second.stop()
        await first.stop()
