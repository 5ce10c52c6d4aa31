"""Verdicts at once, with experts that fail in the ways that experts do."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime

import pytest

from experts.base import Expert
from experts.executor import Panel
from experts.fakes import ConstantExpert, CrashingExpert, SlowExpert
from stream.gateway.at_once import AtOnce
from stream.records import Turn
from stream.settings import Settings
from stream.web.answers import Refusal

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def turns(count: int) -> list[Turn]:
    return [Turn(f"t{n}", "c", "user", f"text {n}", NOW) for n in range(count)]


class Ready(AtOnce):
    """One whose weights are read, all zero, from no broker: only its batches run."""

    def __init__(self, experts: Sequence[Expert], timeout: float = 30.0) -> None:
        super().__init__(Settings(), Panel(list(experts), 30.0), timeout)
        self._view._caught_up.set()
        self._swaps._settled.set()
        self._view.run = self._view.keep_parents = self._swaps.read = self._swaps.arrange = _for_ever  # type: ignore[method-assign]


async def _for_ever() -> None:
    await asyncio.Event().wait()


async def ready(way: AtOnce) -> asyncio.Task[None]:
    running = asyncio.create_task(way.run())
    while way.trouble():
        await asyncio.sleep(0)
    return running


async def test_turns_of_many_requests_are_decided_together_and_each_has_its_own() -> None:
    async with Ready([ConstantExpert(0.9), ConstantExpert(0.1, "low")]) as way:
        running = await ready(way)
        found = await asyncio.gather(*(way.verdicts(turns(n), {}, False) for n in (1, 5, 40)))
        assert [[verdict.turn_id for verdict in some] for some in found] == [
            [turn.turn_id for turn in turns(n)] for n in (1, 5, 40)
        ]
        assert [verdict.score for some in found for verdict in some] == pytest.approx([0.5] * 46)
        running.cancel()


async def test_an_expert_that_crashes_sleeps_and_the_others_decide() -> None:
    async with Ready([ConstantExpert(0.9), CrashingExpert(name="broken")]) as way:
        running = await ready(way)
        (verdict,) = await way.verdicts(turns(1), {}, False)
        assert verdict.score == pytest.approx(0.9)
        assert [opinion.status for opinion in verdict.experts] == ["ok", "error"]
        running.cancel()


async def test_who_waits_too_long_is_told_and_their_turns_are_not_asked_for_any_more() -> None:
    slow = SlowExpert(name="slow")
    async with Ready([slow], timeout=0.05) as way:
        running = await ready(way)
        for _ in range(3):
            with pytest.raises(Refusal) as late:
                await way.verdicts(turns(1), {}, False)
            assert (late.value.status, late.value.headers["x-should-retry"]) == (504, "true")
        slow.release.set()
        while way.trouble() or not way._queue.empty():
            await asyncio.sleep(0)
        way._timeout = 30.0
        await way.verdicts(turns(1), {}, False)
        assert slow.calls == 2  # the first, which was under way, and the last
        running.cancel()


async def test_who_waits_when_the_service_ends_is_told_so() -> None:
    slow = SlowExpert(name="slow")
    async with Ready([slow]) as way:
        running = await ready(way)
        waiting = asyncio.create_task(way.verdicts(turns(2), {}, False))
        while not way._waiting:
            await asyncio.sleep(0)
        running.cancel()
        with suppress(asyncio.CancelledError):
            await running
        with pytest.raises(Refusal) as ended:
            await waiting
        assert ended.value.status == 503
        with pytest.raises(Refusal):
            await way.verdicts(turns(1), {}, False)
        slow.release.set()
