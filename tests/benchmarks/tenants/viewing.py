"""A process of its own: a worker's merged view catches up, forecasts, and says what it learned."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import msgspec
import numpy as np

from benchmarks.tenants.made import EXPERTS, SMALL, labels_of, rounds
from benchmarks.tenants.measuring import calm_collector, rss, watched
from benchmarks.tenants.results import Forecasts, Publishing, View
from ensemble import fold, zero
from experts.base import Advice, Passage
from experts.executor import Panel
from experts.fakes import InstantExpert
from stream import projection, state
from stream.judge import Judge
from stream.metrics import Metrics
from stream.parts import Packed
from stream.policies import Policies
from stream.producer import Outgoing, Written
from stream.records import Turn
from stream.roster import Roster
from stream.settings import Settings
from stream.verdicts import Arrival
from stream.view import MergedView
from stream.weights import SHARE, WeightsPublisher

MANY = 256
"""Turns in as many contexts: of tenants of all sizes, evenly by rank."""
REPEATS = 20
PUBLISHED = 1_000
"""Contexts of which something is said: of tenants of all sizes."""
NEWER = 1 << 40
"""A changelog offset beyond all that were published."""


class Found(msgspec.Struct, frozen=True):
    """All that this process measures."""

    view: View
    forecasts: Forecasts
    publishing: Publishing


@dataclass
class Acknowledging:
    """A producer whose broker has everything at once."""

    sent: int = 0

    def append(
        self, topic: str, partition: int, records: list[Outgoing], *how: bool, **named: bool
    ) -> asyncio.Future[list[Written]]:
        self.sent += len(records)
        answer: asyncio.Future[list[Written]] = asyncio.get_running_loop().create_future()
        asyncio.get_running_loop().call_soon(answer.set_result, [Written(0, len(records))])
        return answer


class Worker:
    """What a worker has of the moments, and what it forecasts from them."""

    def __init__(self, settings: Settings) -> None:
        self.settings, self.policies, self.view = settings, Policies(settings), MergedView(settings)
        named = [expert.split("@") for expert in EXPERTS]
        self.roster = Roster(Panel([InstantExpert(name, version, salt) for salt, (name, version) in enumerate(named)]))
        self.judge = Judge(self.roster, self.view, self.policies, lambda: 0)
        self._newer = NEWER

    def change(self, contexts: list[str]) -> float:
        """A part of each of these changes; the µs that the view takes to take one in."""
        chance = np.random.default_rng(self._newer)
        values = []
        for context in contexts:
            self._newer += 1
            moments = fold(zero(EXPERTS), rounds(chance, 2))
            values.append((projection.part_key(context), projection.encode_part(self._newer, moments)))
        began = time.process_time()
        for key, value in values:
            self.view.learn(0, key, value)
        return (time.process_time() - began) / len(values) * 1e6

    def forecast(self, context: str, advice: Advice) -> None:
        made = self.view.forecaster(context, self.policies.of(context), self.roster.voters)
        made.forecast(advice.scores[:1], advice.awake[:1])

    def turns(self, contexts: list[str]) -> tuple[list[Arrival], Advice]:
        """A turn in each context, and what the experts say of them."""
        turns = [
            Turn(f"t{n}", f"c{n}", "user", f"text {n}", datetime.now(UTC), tenant=context.rpartition("/")[0])
            for n, context in enumerate(contexts)
        ]
        arrivals = [Arrival(turn, 0, n, 0, state.digest(turn.role, turn.text)) for n, turn in enumerate(turns)]
        return arrivals, self.judge.advise([Passage(turn.role, turn.text, ()) for turn in turns])


def spread(contexts: list[str], count: int) -> list[str]:
    """So many of them, evenly."""
    return [contexts[n * len(contexts) // count] for n in range(min(count, len(contexts)))]


async def catch_up(worker: Worker) -> View:
    view, before = worker.view, rss()
    async with watched() as blocked:
        began, cpu = time.monotonic(), time.process_time()
        reading = asyncio.create_task(view.run())
        await view.ready()
        seconds, cpu = time.monotonic() - began, time.process_time() - cpu
    caught_up = rss()
    reading.cancel()
    with suppress(asyncio.CancelledError):
        await reading
    async with watched() as summing:
        began = time.process_time()
        while view.parents.count():
            await asyncio.sleep(0)
        summed = time.process_time() - began
    for context in view.contexts():
        view.forecaster(context, worker.policies.of(context), worker.roster.voters)
    sizes = list(_packed(view))
    small = [size for rank, size in sizes if labels_of(rank) <= SMALL]
    return View(
        seconds, cpu, before, caught_up, float(np.mean([size for _, size in sizes])), float(np.mean(small or [0])),
        blocked.longest_ms, summed, summing.longest_ms, rss(),
    )  # fmt: skip


def _packed(view: MergedView) -> Iterator[tuple[int, int]]:
    """Rank of the tenant, and bytes, of each part."""
    parts: dict[str, dict[int, tuple[int, Packed]]] = view._parts._parts
    for context, of_partition in parts.items():
        rank = int(context.partition("/")[0].rpartition("-")[2])
        for _, packed in of_partition.values():
            yield rank, len(packed)


async def forecasts(worker: Worker) -> Forecasts:
    contexts = spread(sorted(context for context in worker.view.contexts() if context.endswith("/user")), MANY)
    arrivals, advice = worker.turns(contexts)
    take = worker.change(contexts)
    cold = _each_us(worker, contexts, advice)
    warm = _each_us(worker, contexts, advice)
    many_warm, many_cold, longest = [], [], 0.0
    for _ in range(REPEATS):
        worker.change(contexts)
        many_cold.append(_decided_ms(worker, arrivals, advice))
        many_warm.append(_decided_ms(worker, arrivals, advice))
        worker.change(contexts)
        async with watched() as blocked:
            await worker.judge.decide_beside(arrivals, advice)
        longest = max(longest, blocked.longest_ms)
    return Forecasts(warm, cold, float(np.median(many_warm)), float(np.median(many_cold)), longest, take)


def _each_us(worker: Worker, contexts: list[str], advice: Advice) -> float:
    began = time.process_time()
    for context in contexts:
        worker.forecast(context, advice)
    return (time.process_time() - began) / len(contexts) * 1e6


def _decided_ms(worker: Worker, arrivals: list[Arrival], advice: Advice) -> float:
    began = time.process_time()
    worker.judge.decide(arrivals, advice)
    return (time.process_time() - began) * 1e3


async def publishing(worker: Worker) -> Publishing:
    view = worker.view
    contexts = spread(sorted(view.contexts()), PUBLISHED)
    producer: Any = Acknowledging()
    owner: Any = SimpleNamespace(owner_of=lambda number, generation: worker)
    publisher = WeightsPublisher(worker.settings, producer, owner, view, worker.policies, worker.roster, Metrics())
    view.changed = set(contexts)
    async with watched() as blocked:
        began = time.process_time()
        while view.changed or publisher._waiting:
            await publisher._publish()
        each = (time.process_time() - began) / len(contexts) * 1e6
    return Publishing(len(contexts), each, blocked.longest_ms, each / 1e6 * len(view.contexts()) / SHARE / 60.0)


async def main() -> None:
    settings = Settings(**msgspec.json.decode(sys.argv[1]))
    worker = Worker(settings)
    calm_collector()
    found = Found(await catch_up(worker), await forecasts(worker), await publishing(worker))
    sys.stdout.write(msgspec.json.encode(found).decode() + "\n")


if __name__ == "__main__":
    asyncio.run(main())
