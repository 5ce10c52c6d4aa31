"""A run: workers, traffic and faults at once, then silence, then the judgement."""

from __future__ import annotations

import asyncio
import signal
import time
from collections import Counter
from collections.abc import Awaitable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType

from chaos.fleet import Ending, Fleet
from chaos.plan import Action, Deed, Moment, Plan, released, with_session
from chaos.traffic import Post, Traffic, traffic
from stream.settings import Settings
from stream.topics import TopicNames
from support.kafka import end_offsets, eventually_async
from support.oracle import Findings, check_invariants, read_logs, until_sound

REFUSED = (6, 7)
"""Exit codes of an owner that met another's writes, or could not claim: to end is the rule that it must keep."""
TICK_SECONDS = 0.05
READY_SECONDS = 60.0
"""For a worker to own partitions, with two others starting on the same two cores; usually under 5 s."""
LEAVE_SECONDS = 40.0
"""For a worker to end after SIGTERM; usually under 2 s."""
SETTLE_SECONDS = 90.0
"""For the lag to go to nothing and the topics to be sound, after the last fault; usually under 10 s."""


@dataclass(frozen=True)
class Fault:
    """An action that was done: when (seconds since the start), and how many messages had been sent by then."""

    action: Action
    at: float
    sent: int


@dataclass
class Outcome:
    """What a run did and what was found. `problems` is empty when every promise was kept."""

    plan: Plan
    store: str
    turns: int
    labels: int
    seconds: float = 0.0
    starts: int = 0
    holes: int = 0
    """Times that delivered records did not arrive at an agent, and were read again."""
    faults: list[Fault] = field(default_factory=list)
    endings: list[Ending] = field(default_factory=list)
    findings: Findings = field(default_factory=Findings)
    problems: list[str] = field(default_factory=list)

    @property
    def refused(self) -> list[Ending]:
        """Owners that the broker or a gap in the changelog told to end."""
        return [ending for ending in self.endings if ending.code in REFUSED]

    def __str__(self) -> str:
        codes = dict(Counter(ending.code for ending in self.endings))
        run = f"{self.plan.name} seed {self.plan.seed} ({self.store})"
        head = f"{run}: {len(self.faults)} faults in {self.seconds:.0f} s"
        lines = [f"{head}, endings by code {codes}, {self.holes} holes", f"{self.findings}", *self.problems]
        return "\n  ".join(lines)


class Nemesis:
    """One run on topics that were made for it. `folder` takes logs and state, and is the evidence when it fails."""

    def __init__(self, plan: Plan, settings: Settings, traffic: Traffic, folder: Path) -> None:
        self._plan = plan
        self._settings = settings
        self._names = TopicNames.of(settings)
        self._traffic = traffic
        folder.mkdir(parents=True, exist_ok=True)
        self._fleet = Fleet(settings, plan.workers, plan.expert_seconds, folder)
        self._sent = 0
        self._last_fault = (0.0, 0)  # when (of the loop's clock), and how many messages had been sent
        self._burst_wanted = asyncio.Event()
        self._burst_sent = asyncio.Event()
        self._resuming: asyncio.Task[None] | None = None
        turns = sum(post.to == "turns" for post in traffic.posts)
        self.outcome = Outcome(plan, settings.store, turns, len(traffic.posts) - turns)

    async def run(self) -> Outcome:
        """The outcome, also of a run that failed; nothing is left running."""
        began = time.monotonic()
        supervising = asyncio.create_task(self._fleet.supervise())
        try:
            await self._run()
        except* (TimeoutError, AssertionError) as failed:  # what was awaited, or what is not sound; the rest is judged
            self.outcome.problems += [str(error) for error in failed.exceptions]
        finally:
            supervising.cancel()
            self._fleet.destroy()
        return self._told(round(time.monotonic() - began, 1))

    def _told(self, seconds: float) -> Outcome:
        """The outcome, complete with the fleet's diary."""
        outcome, fleet = self.outcome, self._fleet
        outcome.seconds, outcome.endings = seconds, fleet.endings
        outcome.starts, outcome.holes = sum(slot.starts for slot in fleet.slots), fleet.holes()
        outcome.problems += [
            f"worker {ending.worker} ended with code {ending.code} after {ending.at} s: {ending.said}"
            for ending in fleet.endings
            if ending.code not in (0, -signal.SIGKILL, -signal.SIGTERM, *REFUSED)
        ]
        outcome.problems += fleet.unclean()
        return outcome

    async def _run(self) -> None:
        for number in range(self._plan.start):
            self._fleet.join(number)
        for number in range(self._plan.start):
            await self._fleet.ready(number, READY_SECONDS)
        async with asyncio.TaskGroup() as group:
            sending = group.create_task(self._send())
            group.create_task(self._harm())
        await sending
        await self._come_to_rest()

    # -- faults

    async def _harm(self) -> None:
        for action in self._plan.actions:
            if action.moment is not Moment.PREVIOUS:
                await self._resumed()
            await self._do(action)
        await self._resumed()

    async def _do(self, action: Action) -> None:
        fleet, number = self._fleet, action.worker
        await self._await_moment(action)
        self.outcome.faults.append(Fault(action, fleet.age, self._sent))
        match action.deed:
            case Deed.KILL:
                await fleet.kill(number, READY_SECONDS)
            case Deed.PAUSE:
                fleet.slots[number].freeze()
                self._resuming = asyncio.create_task(self._resume(number, action.lasting))
            case Deed.JOIN:
                fleet.join(number)
            case Deed.LEAVE:
                await self._leave(number)
        self._last_fault = (time.monotonic(), self._sent)

    async def _await_moment(self, action: Action) -> None:
        fleet, slot = self._fleet, self._fleet.slots[action.worker]
        if action.moment in (Moment.READY, Moment.BURST):
            await fleet.ready(slot.number, READY_SECONDS)
        elif action.moment is Moment.SPAWNED:
            await fleet.until(lambda: slot.alive, READY_SECONDS, f"worker {slot.number} to be started")
        if action.moment is Moment.BURST:
            self._burst_sent.clear()
            self._burst_wanted.set()
            await self._burst_sent.wait()
        await asyncio.sleep(action.delay)

    async def _leave(self, number: int) -> None:
        """One that had begun to work must end cleanly; before that SIGTERM may just end it."""
        allowed = (0,) if self._fleet.slots[number].ready else (0, -signal.SIGTERM)
        ending = await self._fleet.leave(number, LEAVE_SECONDS)
        if ending is not None and ending.code not in (*allowed, *REFUSED):
            self.outcome.problems.append(f"worker {number} left with code {ending.code}: {ending.said}")

    async def _resume(self, number: int, after: float) -> None:
        await asyncio.sleep(after)
        self._fleet.slots[number].worker.resume()

    async def _resumed(self) -> None:
        if self._resuming is not None:
            await self._resuming
            self._resuming = None

    # -- traffic

    async def _send(self) -> None:
        producer = AIOKafkaProducer(bootstrap_servers=self._settings.broker, acks="all", enable_idempotence=True)
        async with producer:
            self._last_fault = (time.monotonic(), 0)
            posts, written = self._traffic.posts, list[Awaitable[Any]]()
            while self._sent < len(posts):
                burst = self._burst_wanted.is_set()
                at, before = self._last_fault
                left = len(self._plan.actions) - len(self.outcome.faults)
                upto = max(self._sent, released(before, time.monotonic() - at, left, len(posts), burst))
                written += [await self._post(producer, post) for post in posts[self._sent : upto]]
                self._sent = upto
                if burst:
                    self._burst_wanted.clear()
                    self._burst_sent.set()
                else:
                    await asyncio.gather(*written)
                    written.clear()
                with suppress(TimeoutError):
                    await asyncio.wait_for(self._burst_wanted.wait(), TICK_SECONDS)

    async def _post(self, producer: AIOKafkaProducer, post: Post) -> Awaitable[Any]:
        record, topic = post.record, self._names.turns if post.to == "turns" else self._names.labels
        written: Awaitable[Any] = await producer.send(topic, record.value, record.key, record.partition)
        return written

    # -- the end

    async def _come_to_rest(self) -> None:
        """Everything read, everything sound, everybody gone cleanly, and still everything sound."""
        await eventually_async(self._all_read, SETTLE_SECONDS, "an end of the lag")
        await until_sound(self._settings, self._traffic.turn_ids, SETTLE_SECONDS)
        wanted = [slot.number for slot in self._fleet.slots if slot.wanted]
        for number in wanted:
            await self._fleet.ready(number, READY_SECONDS)
        for number in wanted:
            await self._leave(number)
        self.outcome.findings = check_invariants(
            self._settings, await read_logs(self._settings), self._traffic.turn_ids
        )
        self.outcome.problems += self.outcome.findings.problems

    async def _all_read(self) -> bool:
        admin = AIOKafkaAdminClient(bootstrap_servers=self._settings.broker)
        await admin.start()
        try:
            committed = await admin.list_consumer_group_offsets(self._settings.app_id)
        finally:
            await admin.close()
        for topic in (self._names.turns, self._names.labels):
            for partition, end in (await end_offsets(self._settings.broker, topic)).items():
                found = committed.get(TopicPartition(topic, partition))
                if end and (found is None or found.offset < end):
                    return False
        return True


async def run_plan(plan: Plan, settings: Settings, folder: Path, turns: int, labels: int) -> Outcome:
    """Run a plan on topics that were made for it, with so many different turns and so many labels. A broker
    that takes no session time-out as short as the plan's gets a longer one."""
    session = max(plan.session, await shortest_session(settings.broker))
    plan = with_session(plan, session)
    settings = settings.model_copy(update={"session_timeout": session, "heartbeat": session / 4})
    messages = traffic(plan.seed, turns, labels, settings.partitions, time.time_ns() // 1_000_000)
    return await Nemesis(plan, settings, messages, folder).run()


async def shortest_session(broker: str) -> float:
    """The least session time-out that this broker takes, in seconds: its group.min.session.timeout.ms."""
    admin = AIOKafkaAdminClient(bootstrap_servers=broker)
    await admin.start()
    try:
        nodes = await admin.describe_cluster()
        node = str(nodes["brokers"][0]["node_id"])
        [response] = await admin.describe_configs([ConfigResource(ConfigResourceType.BROKER, node)])
        values = {entry[0]: entry[1] for entry in response.resources[0][4]}
        return int(values["group.min.session.timeout.ms"]) / 1000
    finally:
        await admin.close()
