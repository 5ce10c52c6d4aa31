"""What an action does, and its undoing when it has lasted."""

from __future__ import annotations

import asyncio
import random
import signal
from collections.abc import Awaitable
from pathlib import Path

from aiokafka.admin import AIOKafkaAdminClient

from chaos import disk
from chaos.fleet import Fleet
from chaos.network import Weather
from chaos.plan import COORDINATOR, LEADER, Action, Deed
from chaos.stage import Stage
from stream import topics_admin
from stream.growth import grow
from stream.settings import Settings
from stream.topics import TopicNames
from support.brokers import Node
from support.worker_process import ROOT

REFUSED = (6, 7)
"""Exit codes of an owner that met another's writes, or could not claim: to end is the rule that it must keep."""
READY_SECONDS = 240.0
"""For a worker to own partitions, on a machine that has much else to do; usually under 5 s."""
LEAVE_SECONDS = 120.0
"""For a worker to end after SIGTERM; usually under 2 s."""


class Deeds:
    """Does them. `problems` takes what a deed itself shows to be wrong; `previous`: the tree of the old version."""

    def __init__(
        self, fleet: Fleet, stage: Stage, settings: Settings, seed: int, problems: list[str], previous: Path | None
    ) -> None:
        self._fleet = fleet
        self._stage = stage
        self._settings = settings
        self._rng = random.Random(f"deeds {seed}")
        self._problems = problems
        self._trees = {"new": ROOT, "old": previous or ROOT}
        self._healing: list[asyncio.Task[None]] = []

    async def healed(self) -> None:
        """Returns when everything that was broken is mended."""
        while self._healing:
            await self._healing.pop()

    def abandon(self) -> None:
        """Mend nothing more: the run has failed."""
        for task in self._healing:
            task.cancel()

    async def do(self, action: Action) -> None:
        """Returns when it is done; what lasts goes on."""
        fleet, number = self._fleet, action.target
        match action.deed:
            case Deed.KILL:
                await fleet.kill(number, READY_SECONDS)
            case Deed.PAUSE:
                fleet.slots[number].freeze()
                self._heal(self._resume(number, action.lasting))
            case Deed.JOIN:
                fleet.join(number)
            case Deed.LEAVE:
                await self.leave(number)
            case Deed.BROKER_KILL | Deed.BROKER_STOP:
                node = await self._node(number)
                await asyncio.to_thread(node.kill if action.deed is Deed.BROKER_KILL else node.stop)
                self._heal(self._start(node, action.lasting))
            case Deed.CUT:
                self._stage.links[number].change(Weather(action.how))
                self._heal(self._mend(number, action.lasting))
            case Deed.FULL:
                disk.fill(fleet.slots[number].state)
                self._heal(self._make_room(number, action.lasting))
            case Deed.CORRUPT:
                await self._corrupt(number)
            case Deed.CLOCK:
                fleet.slots[number].order(clock_seconds=action.amount)
                self._heal(self._reorder(number, action.lasting, clock_seconds=0.0))
            case Deed.EXPERT:
                fleet.slots[number].order(experts=action.how)
                self._heal(self._reorder(number, action.lasting, experts=""))
            case Deed.GROW:
                self._heal(self._grow(int(action.amount)))
            case Deed.REPLACE:
                await self.leave(number)
                fleet.slots[number].run_from(self._trees[action.how])
                fleet.join(number)

    async def leave(self, number: int) -> None:
        """One that had begun to work must end cleanly; before that SIGTERM may just end it."""
        allowed = (0,) if self._fleet.slots[number].ready else (0, -signal.SIGTERM)
        ending = await self._fleet.leave(number, LEAVE_SECONDS)
        if ending is not None and ending.code not in (*allowed, *REFUSED):
            self._problems.append(f"worker {number} left with code {ending.code}: {ending.said}")

    def _heal(self, work: Awaitable[None]) -> None:
        self._healing.append(asyncio.ensure_future(work))

    async def _resume(self, number: int, after: float) -> None:
        await asyncio.sleep(after)
        self._fleet.slots[number].worker.resume()

    async def _start(self, node: Node, after: float) -> None:
        await asyncio.sleep(after)
        node.spawn()
        await asyncio.to_thread(node.wait)

    async def _mend(self, number: int, after: float) -> None:
        await asyncio.sleep(after)
        self._stage.links[number].change(Weather.CLEAR)

    async def _make_room(self, number: int, after: float) -> None:
        await asyncio.sleep(after / 2)
        await self._fleet.kill(number, READY_SECONDS)
        await asyncio.sleep(after / 2)
        disk.clear(self._fleet.slots[number].state)

    async def _reorder(self, number: int, after: float, **orders: object) -> None:
        await asyncio.sleep(after)
        self._fleet.slots[number].order(**orders)

    async def _corrupt(self, number: int) -> None:
        await self.leave(number)
        disk.corrupt(self._fleet.slots[number].state, self._rng)
        self._fleet.join(number)

    async def _grow(self, partitions: int) -> None:
        await grow(self._settings, partitions, lambda line: None)
        for slot in self._fleet.slots:
            slot.grow(partitions)

    async def _node(self, target: int) -> Node:
        """The broker that this number, or role, means just now."""
        nodes = {node.number: node for node in self._stage.nodes}
        if target not in (COORDINATOR, LEADER):
            return self._stage.nodes[target % len(nodes)]
        admin = AIOKafkaAdminClient(bootstrap_servers=self._settings.broker)
        await admin.start()
        try:
            if target == COORDINATOR:
                return nodes[await admin.find_coordinator(self._settings.app_id)]
            turns = TopicNames.of(self._settings).turns
            [found] = (await topics_admin.topics_of(admin, [turns])).values()
            return nodes[next(partition["leader"] for partition in found if partition["partition"] == 0)]
        finally:
            await admin.close()
