"""At once: the same experts and weights in this process, without a turn that anybody else sees, or learns from."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Self

from msgspec import Struct

from experts.base import Passage
from experts.executor import Panel
from stream import state
from stream.conversations import given
from stream.expert_swaps import ExpertSwaps, Supply
from stream.gateway.ways import late
from stream.judge import Judge
from stream.metrics import Metrics
from stream.panels import open_expert
from stream.partitions import now_ms
from stream.policies import Policies
from stream.records import Turn, Verdict
from stream.roster import Roster
from stream.score import BatchSize
from stream.settings import Settings
from stream.verdicts import Arrival, verdict
from stream.view import MergedView
from stream.web.answers import Refusal


class Asked(Struct, eq=False):
    """A turn that waits for the experts."""

    arrival: Arrival
    answer: asyncio.Future[Verdict]


class AtOnce:
    """Decides as the score agent does: with its functions, the moments that workers publish, and the experts' modes.

    It remembers no turn, so what was said before is what a request says in `history`. `timeout`: seconds for all of a
    request."""

    def __init__(self, settings: Settings, panel: Panel, timeout: float, supply: Supply | None = None) -> None:
        self._timeout = timeout
        self._roster = Roster(panel)
        self._view = MergedView(settings)
        names = tuple(expert.name for expert in panel.experts)
        supply = supply or Supply(names, partial(open_expert, settings))
        self._swaps = ExpertSwaps(settings, self._roster, supply, Metrics(), self._view.touch_all)
        self._judge = Judge(self._roster, self._view, Policies(settings), now_ms)
        self._size = BatchSize(settings.batch_seconds)
        self._queue: asyncio.Queue[Asked] = asyncio.Queue()  # bounded by the room that requests take
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="experts")
        self._ready = False

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        self._thread.shutdown(wait=False)
        self._roster.close()

    async def verdicts(self, turns: Sequence[Turn], headers: Mapping[str, str], again: bool) -> list[Verdict]:
        """See `ToVerdicts`; no record is made, so the headers go nowhere, and a request may be sent again."""
        if why := self.trouble():
            raise Refusal(503, f"no verdict could be made: {why}", "unavailable", headers={"Retry-After": "1"})
        asked = [self._ask(turn) for turn in turns]
        try:
            async with asyncio.timeout(self._timeout):
                return list(await asyncio.gather(*(one.answer for one in asked)))
        except TimeoutError:
            raise late(self._timeout, "the experts are busy: ask again", retry=True) from None

    def _ask(self, turn: Turn) -> Asked:
        digest = state.digest(turn.role, turn.text)
        asked = Asked(Arrival(turn, 0, 0, now_ms(), digest), asyncio.get_running_loop().create_future())
        self._queue.put_nowait(asked)
        return asked

    def trouble(self) -> str | None:
        """See `ToVerdicts`."""
        return self._roster.failure or (None if self._ready else "the weights are still being read")

    async def run(self) -> None:
        """Reads what workers have learned and which experts vote, and answers batch after batch. Raises StreamError or
        EnsembleError, one line."""
        async with asyncio.TaskGroup() as group:
            for work in (self._view.run, self._view.keep_parents, self._swaps.read, self._swaps.arrange, self._answer):
                group.create_task(work())
            await self._view.ready()
            await self._swaps.ready()
            self._ready = True

    async def _answer(self) -> None:
        while True:
            batch = [await self._queue.get()]
            while len(batch) < self._size() and not self._queue.empty():
                batch.append(self._queue.get_nowait())
            batch = [asked for asked in batch if not asked.answer.done()]  # those who waited too long have gone
            if batch:
                await self._decide(batch)

    async def _decide(self, batch: list[Asked]) -> None:
        began, turns = time.perf_counter(), [asked.arrival.turn for asked in batch]
        passages = [Passage(turn.role, turn.text, given(turn)) for turn in turns]
        advice = await asyncio.get_running_loop().run_in_executor(self._thread, self._judge.advise, passages)
        pendings = await self._judge.decide_beside([asked.arrival for asked in batch], advice)
        self._size.took(len(batch), time.perf_counter() - began)
        for asked, pending in zip(batch, pendings, strict=True):
            if not asked.answer.done():
                asked.answer.set_result(verdict(asked.arrival.turn, pending, ""))
