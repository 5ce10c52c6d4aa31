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

from chaos import disk
from chaos.deeds import READY_SECONDS, REFUSED, Deeds
from chaos.fleet import Ending, Fleet
from chaos.judge import judged
from chaos.plan import NOBODY, ON_DISK, Action, Deed, Moment, Plan, released, with_session
from chaos.stage import Stage
from chaos.traffic import Post, Traffic, traffic
from stream.errors import BrokerError, StateError, TopicsError
from stream.settings import Settings
from stream.topics import TopicNames
from support.kafka import end_offsets, eventually_async
from support.oracle import Findings, until_sound

TICK_SECONDS = 0.05
SETTLE_SECONDS = 300.0
"""For the lag to go to nothing and the topics to be sound, after the last fault; usually under 10 s. A label that
looked for its turn in vain six times looks again a minute later."""
EXCUSED = {
    Deed.BROKER_KILL: BrokerError.exit_code,
    Deed.BROKER_STOP: BrokerError.exit_code,
    Deed.CUT: BrokerError.exit_code,
    Deed.FULL: StateError.exit_code,
    Deed.CORRUPT: StateError.exit_code,
    Deed.EXPERT: -signal.SIGSEGV,
}
"""The exit code with which a worker may answer a deed, beside those of every run: with one line, and it is started
again."""


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
    messages: int = 0
    """Turns and labels, some of them twice, and what cannot be used."""
    seconds: float = 0.0
    starts: int = 0
    holes: int = 0
    """Times that delivered records did not arrive at an agent, and were read again."""
    faults: list[Fault] = field(default_factory=list)
    endings: list[Ending] = field(default_factory=list)
    findings: Findings = field(default_factory=Findings)
    problems: list[str] = field(default_factory=list)
    broken: list[str] = field(default_factory=list)
    """What went wrong with the harness itself: such a run says nothing of the worker."""
    left_out: list[str] = field(default_factory=list)
    """What this machine, or the command, could not do."""

    @property
    def refused(self) -> list[Ending]:
        """Owners that the broker or a gap in the changelog told to end."""
        return [ending for ending in self.endings if ending.code in REFUSED]

    def __str__(self) -> str:
        codes = dict(Counter(ending.code for ending in self.endings))
        run = f"{self.plan.name} seed {self.plan.seed} ({self.store})"
        head = f"{run}: {len(self.faults)} faults in {self.seconds:.0f} s"
        broken = [f"the harness broke: {problem}" for problem in self.broken]
        lines = [f"{head}, endings by code {codes}, {self.holes} holes", f"{self.findings}", *self.problems, *broken]
        return "\n  ".join(lines)


class Nemesis:
    """One run on topics that were made for it. `folder` takes logs and state, and is the evidence when it fails."""

    def __init__(
        self, plan: Plan, settings: Settings, traffic: Traffic, folder: Path, stage: Stage, previous: Path | None
    ) -> None:
        self._plan = plan
        self._settings = settings
        self._names = TopicNames.of(settings)
        self._traffic = traffic
        folder.mkdir(parents=True, exist_ok=True)
        ways = [link.bootstrap for link in stage.links]
        self._fleet = Fleet(settings, plan.workers, plan.expert_seconds, folder, ways)
        self.outcome = Outcome(plan, settings.store, len(traffic.turn_ids), traffic.labels, len(traffic.posts))
        self._deeds = Deeds(self._fleet, stage, settings, plan.seed, self.outcome.problems, previous)
        self._sent = 0
        self._homes: dict[str, int] = {}
        self._last_fault = (0.0, 0)  # when (of the loop's clock), and how many messages had been sent
        self._burst_wanted = asyncio.Event()
        self._burst_sent = asyncio.Event()

    async def run(self) -> Outcome:
        """The outcome, also of a run that failed; nothing is left running."""
        began = time.monotonic()
        supervising = asyncio.create_task(self._fleet.supervise())
        disks = [slot.state for slot in self._fleet.slots] if self._plan.count(Deed.FULL) else []
        for folder in disks:
            assert disk.mount(folder)
        try:
            await self._run()
        except* (
            TimeoutError,
            AssertionError,
            TopicsError,
        ) as failed:  # awaited in vain, not sound, not grown
            self.outcome.problems += _told(failed)
        except* Exception as failed:  # noqa: BLE001  # whatever it is, the run must be cleared away and be told
            self.outcome.broken += _told(failed)
        finally:
            supervising.cancel()
            self._deeds.abandon()
            self._fleet.destroy()
            for folder in disks:
                disk.unmount(folder)
        return self._complete(round(time.monotonic() - began, 1))

    def _complete(self, seconds: float) -> Outcome:
        """The outcome with the fleet's diary."""
        outcome, fleet = self.outcome, self._fleet
        outcome.seconds, outcome.endings = seconds, fleet.endings
        outcome.starts, outcome.holes = sum(slot.starts for slot in fleet.slots), fleet.holes()
        excused = {code for deed, code in EXCUSED.items() if self._plan.count(deed)}
        outcome.problems += [
            f"worker {ending.worker} ended with code {ending.code} after {ending.at} s: {ending.said}"
            for ending in fleet.endings
            if ending.code not in (0, -signal.SIGKILL, -signal.SIGTERM, *REFUSED, *excused)
        ]
        outcome.problems += fleet.unclean()
        return outcome

    async def _run(self) -> None:
        for number in range(self._plan.start):
            self._fleet.join(number)
        for number in range(self._plan.start):
            await self._fleet.ready(number, READY_SECONDS)
        async with asyncio.TaskGroup() as group:
            group.create_task(self._send())
            group.create_task(self._harm())
        await self._come_to_rest()

    # -- faults

    async def _harm(self) -> None:
        for action in self._plan.actions:
            if action.moment is not Moment.PREVIOUS:
                await self._deeds.healed()
            await self._await_moment(action)
            self.outcome.faults.append(Fault(action, self._fleet.age, self._sent))
            await self._deeds.do(action)
            self._last_fault = (time.monotonic(), self._sent)
        await self._deeds.healed()

    async def _await_moment(self, action: Action) -> None:
        fleet = self._fleet
        slots = fleet.slots if action.deed in NOBODY else [fleet.slots[action.target]]
        who = "a worker" if action.deed in NOBODY else f"worker {action.target}"
        if action.moment in (Moment.READY, Moment.BURST):
            await fleet.until(lambda: any(slot.ready for slot in slots), READY_SECONDS, f"{who} to be ready")
        elif action.moment is Moment.SPAWNED:
            await fleet.until(lambda: any(slot.alive for slot in slots), READY_SECONDS, f"{who} to be started")
        if action.moment is Moment.BURST:
            self._burst_sent.clear()
            self._burst_wanted.set()
            await self._burst_sent.wait()
        await asyncio.sleep(action.delay)

    # -- traffic

    async def _send(self) -> None:
        try:
            await self._send_all()
        except (AssertionError, TimeoutError) as error:  # of this producer: nothing that the worker could help
            raise RuntimeError(f"the traffic was not sent: {error!r}") from error

    async def _send_all(self) -> None:
        producer = AIOKafkaProducer(
            bootstrap_servers=self._settings.broker,
            acks="all",
            enable_idempotence=True,
            metadata_max_age_ms=1_000,  # so that what has grown is used at once
        )
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
        home = self._homes.get(post.turn_id, record.partition)
        written: asyncio.Future[Any] = await producer.send(
            topic, record.value, record.key, home, headers=list(record.headers)
        )
        if post.turn_id and home is None:
            written.add_done_callback(lambda done: self._homes.setdefault(post.turn_id, done.result().partition))
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
            await self._deeds.leave(number)
        self.outcome.findings, problems = await judged(self._settings, self._traffic)
        self.outcome.problems += problems

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


def _told(failed: BaseExceptionGroup[Any]) -> list[str]:
    """A line for each, however deep in groups."""
    lines = []
    for error in failed.exceptions:
        lines += _told(error) if isinstance(error, BaseExceptionGroup) else [f"{type(error).__name__}: {error}"]
    return lines


async def run_plan(
    plan: Plan,
    settings: Settings,
    folder: Path,
    turns: int,
    labels: int,
    stage: Stage | None = None,
    previous: Path | None = None,
) -> Outcome:
    """Run a plan on topics that were made for it, with so many different turns and so many labels. A broker
    that takes no session time-out as short as the plan's gets a longer one. What cannot be done here is left out, and
    the outcome says so."""
    session = max(plan.session, await shortest_session(settings.broker))
    plan, left_out = _possible(with_session(plan, session), settings.store, previous, folder / "probe")
    times = {"session_timeout": session, "heartbeat": session / 4}
    limits = {"expert_timeout": plan.expert_timeout, "write_timeout": plan.write_timeout}
    settings = settings.model_copy(update={**times, **limits})
    messages = traffic(plan.seed, turns, labels, settings.partitions, time.time_ns() // 1_000_000, plan.poison)
    nemesis = Nemesis(plan, settings, messages, folder, stage or Stage(settings.broker), previous)
    nemesis.outcome.left_out += left_out
    return await nemesis.run()


def _possible(plan: Plan, store: str, previous: Path | None, probe: Path) -> tuple[Plan, list[str]]:
    """The plan without what cannot be done, and why not."""
    left_out = []
    if store == "memory" and plan.count(*ON_DISK):
        plan = plan.without(*ON_DISK)
        left_out.append("disk full, corrupt: the state is in memory")
    if plan.count(Deed.FULL):
        if disk.mount(probe):
            disk.unmount(probe)
        else:
            plan = plan.without(Deed.FULL)
            left_out.append("disk full: a disk of its own cannot be mounted here (be root, or may mount)")
    if plan.count(Deed.REPLACE) and previous is None:
        plan = plan.without(Deed.REPLACE)
        left_out.append("replace: there is no tree of another version (--previous PATH)")
    return plan, left_out


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
