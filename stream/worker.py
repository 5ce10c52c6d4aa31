"""The worker: every part made, wired, started and stopped in order.

`create_worker(settings, panel)` makes it without touching the network; `run_worker` runs it until a signal. The order
of stopping matters: the pipelines drain while the producer still answers, offsets are committed, the group is left, and
only then are producer and stores closed."""

import asyncio
import gc
import logging
import signal
import threading
from collections.abc import Awaitable, Callable
from functools import partial
from typing import TYPE_CHECKING, Any

import structlog
from faust.types import TP

from ensemble.errors import EnsembleError
from experts.executor import Panel
from stream.condition import Condition, Facts, condition_of
from stream.connection import secure
from stream.counting import Countings
from stream.dead_letters import DeadLetters
from stream.early import retry_early
from stream.endings import crashed, end_process, end_undrained
from stream.epochs import Epochs
from stream.erasure import Eraser
from stream.errors import PassingError, PipelineError, StateError, StreamError, TopicsError
from stream.expert_swaps import ExpertSwaps, Supply
from stream.expiry import expire_conversations, expire_pending, keep_claims
from stream.faust_app import AegisApp, faust_settings
from stream.fulfilment import Fulfiller
from stream.gauges import Gauges
from stream.health import Health
from stream.learn import LABELS_TOGETHER, Learner
from stream.metrics import Metrics
from stream.ownership import Ownership
from stream.panels import open_expert
from stream.partitions import Fatal
from stream.pipeline import Pipeline, where
from stream.policies import Policies
from stream.producer import Producer
from stream.projection import Projection
from stream.rights import refuse_lacking
from stream.roster import Roster
from stream.score import LARGEST, Scorer
from stream.settings import Settings
from stream.standbys import Standbys
from stream.stores import Stores
from stream.topic_ids import topic_id
from stream.topics import TopicNames
from stream.topics_admin import check
from stream.view import MergedView
from stream.watch import Watch
from stream.weights import WeightsPublisher

if TYPE_CHECKING:
    from stream.tracing import Tracing

log = structlog.get_logger()

SIGNALS = (signal.SIGTERM, signal.SIGINT)
COLLECTOR_THRESHOLDS = (20_000, 20, 20)
"""Python's default looks for cycles every 700 new objects; a batch of 2,000 turns makes 40,000, and none is a cycle."""
DRAIN_SHARE = 0.4
"""Of the session time-out: no heartbeat is sent inside a rebalance, so draining must leave room for the claims that
follow."""
STOP_SHARE = 0.8
"""Of the drain time-out, for what has begun when the worker is told to end."""
LEAVE_SECONDS = 3.0
"""For the broker's answer when the group is left by a worker that ends at once: it answers in milliseconds, unless it
is busy or gone."""


class Worker:
    """A Faust app with the score and the learn agent, and what they share."""

    def __init__(
        self, settings: Settings, panel: Panel, supply: Supply, fatal: Fatal, tracing: "Tracing | None" = None
    ) -> None:
        self.settings = settings
        self.names = TopicNames.of(settings)
        self.metrics = Metrics()
        self._fatal = fatal
        self._is_started = self._is_stopping = False
        self.producer = Producer(settings)
        self.policies = Policies(settings)
        self.view = MergedView(settings)
        self.roster = Roster(panel)
        self.countings = Countings(self.policies)
        self.stores = Stores(settings.store, settings.data_dir, settings.app_id, self.names.changelog)
        self.standbys = Standbys(settings, self.names.changelog, self.stores.open, self.metrics)
        self.ownership = Ownership(settings, self.producer, self.stores.open, self.fatal, self._prepare, self.standbys)
        self.swaps = ExpertSwaps(settings, self.roster, supply, self.metrics, self.view.touch_all)
        self.weights = WeightsPublisher(
            settings, self.producer, self.ownership, self.view, self.policies, self.roster, self.metrics
        )
        self.projection = Projection(self.producer, self.names.moments, self.ownership)
        self._tracing = tracing
        self._create_agents(settings)
        self._create_requests(settings)
        self.app = self._create_app()
        self.watch = Watch(
            self.producer,
            self.ownership,
            (self.scoring, self.learning),
            self.metrics,
            settings.stall_timeout,
            self.fatal,
        )
        self.gauges = Gauges(
            settings,
            self.metrics,
            self.producer,
            self.ownership,
            self.view,
            self.roster,
            self.watch.stalls,
            self._condition,
        )
        self.health = Health(settings.http_port, self.metrics, self._condition)
        self._tasks: list[asyncio.Task[None]] = []

    def _create_agents(self, settings: Settings) -> None:
        """What they do with turns and labels."""
        letters = DeadLetters(self.producer, self.names.dead_letters, self.metrics)
        self.scorer = Scorer(settings, self.producer, self.roster, self.view, self.policies, letters, self.metrics)
        self.scorer.requests = self.countings.requests
        self.scorer.tracing = self._tracing
        learner = Learner(settings, self.producer, self.view, self.projection, letters, self.metrics, self.countings)
        self.scoring = Pipeline("score", self.ownership, self.scorer.begin, lambda: LARGEST, self.fatal)
        self.learning = Pipeline("learn", self.ownership, learner.begin, lambda: LABELS_TOGETHER, self.fatal)

    def _create_requests(self, settings: Settings) -> None:
        """What operators ask of all workers."""
        self.fulfiller = Fulfiller(
            settings,
            self.producer,
            self.ownership,
            self.countings,
            self.projection,
            self.stores,
            self.standbys,
            Eraser(self.scorer.deciding, self._committed),
        )
        changelog = partial(self.producer.partitions, self.names.changelog)
        self.epochs = Epochs(settings, self.countings, changelog, self.view, self.weights.begin)
        self.weights.epoch = self.epochs.of

    def fatal(self, error: StreamError) -> None:
        """Leaves the group, so that others take over at once, and ends. What cannot be finished while it is stopping is
        read again by the next owner, so that is no failure of the stop."""
        self.app.batches.leave(LEAVE_SECONDS)
        if self._is_stopping and isinstance(error, PassingError):
            end_undrained(str(error))
        self._fatal(error)

    def give_up(self) -> None:
        """Not drained in time: leave the group and end; what is durable is committed or is read again."""
        self.app.batches.leave(LEAVE_SECONDS)
        end_undrained(f"not drained within AEGIS_DRAIN_TIMEOUT ({self.settings.drain_timeout:g} s)")

    def _condition(self) -> Condition:
        return condition_of(
            Facts(
                is_stopping=self._is_stopping,
                is_started=self._is_started,
                failure=self.roster.failure,
                trouble=self.ownership.trouble(),
                is_restoring=self.ownership.recovery.progress is not None,
                view_left=None if self.view.is_caught_up else self.view.left,
                silence=self.gauges.silence,
                stood=self.watch.stalls.longest,
                stall=self.settings.stall_timeout,
            )
        )

    def _create_app(self) -> AegisApp:
        app = AegisApp(**faust_settings(self.settings))
        app.ownership, app.fatal, app.drain = self.ownership, self.fatal, self.drain
        app.secure = partial(secure, settings=self.settings)
        app.inputs = frozenset((self.names.turns, self.names.labels))
        app.Table("state", key_type=bytes, value_type=bytes)
        for name, topic, pipeline in (
            ("score", self.names.turns, self.scoring),
            ("learn", self.names.labels, self.learning),
        ):
            channel = app.topic(
                topic,
                key_type=bytes,
                value_type=bytes,
                key_serializer="raw",
                value_serializer="raw",
            )
            app.agent(channel, name=name)(_agent(pipeline))
        return app

    async def _prepare(self) -> None:
        await self.view.ready()
        self._warn_of_the_past()
        await self.swaps.ready()
        await self.fulfiller.prepare()
        await self.epochs.prepare()
        await self.weights.prepare()

    def _warn_of_the_past(self) -> None:
        """A changelog that was made anew, or lost its end, has its offsets again: of two moments, the view takes those
        of the higher one."""
        for partition in self.ownership.partitions.values():
            told = self.view.told_of(partition.number)
            if told >= partition.next_offset:
                log.error(
                    "moments_ahead",
                    partition=partition.number,
                    told_of=told,
                    changelog_ends=partition.next_offset,
                    remedy="what is learned is not seen before the changelog is as long: runbook, Lost broker",
                )

    async def _committed(self, number: int) -> int:
        """Before which offset no turn of a partition is read again."""
        tp = TP(self.names.turns, number)
        return (await self.app.batches.committed_offsets([tp]))[tp] or 0

    async def drain(self) -> None:
        """Let what has begun end. A worker that cannot in time goes on: what it has left is refused by the claims that
        follow, or read again by the next owner."""
        settings = self.settings
        deadline = settings.drain_timeout * STOP_SHARE if self._is_stopping else settings.session_timeout * DRAIN_SHARE
        records = self.producer.settle(self.names.moments, 0, deadline)
        done = await asyncio.gather(self.scoring.drain(deadline), self.learning.drain(deadline), records)
        if not all(done):
            log.warning("drain_incomplete", seconds=deadline)

    async def start(self) -> None:
        """Raises TopicsError when the topics are not what the contract says, StateError when the state has no place."""
        await self.health.start()
        await _refuse_mismatches(self.settings)
        self.stores.prepare()
        self.stores.topic_id = await topic_id(self.settings, self.names.changelog)
        self.app.loop = asyncio.get_running_loop()
        await self.producer.start(vars(self.names).values())
        consumer = self.app.batches
        self.scoring.start(consumer)
        self.learning.start(consumer)
        self._background(self.view.run, self.view.keep_parents)
        self._background(self.projection.run, self.weights.run, self.swaps.read, self.swaps.arrange)
        self._background(self.fulfiller.read, self.fulfiller.run, self.epochs.run)
        self._background(
            lambda: self.watch.run(consumer), lambda: retry_early(self.ownership, self.producer, self.names.labels)
        )
        self._background(lambda: expire_pending(self.ownership, self.metrics, self.settings.label_horizon))
        self._background(lambda: expire_conversations(self.ownership, self.metrics, self.settings))
        self._background(lambda: keep_claims(self.ownership), self.standbys.run, lambda: self.gauges.run(consumer))
        self._is_started = True
        await self.app.start()
        _calm_collector()

    def _background(self, *works: Callable[[], Awaitable[None]]) -> None:
        self._tasks += [asyncio.create_task(self._guard(work)) for work in works]

    async def _guard(self, work: Callable[[], Awaitable[None]]) -> None:
        """A background task that raises ends the worker: without it the worker would look well and be wrong."""
        try:
            await work()
        except StreamError as error:
            self.fatal(error)
            raise
        except EnsembleError as error:  # of a record that this version cannot read; its line quotes nothing
            self.fatal(StateError(str(error)))
            raise
        except Exception as error:
            self.fatal(PipelineError(f"a background task failed: {type(error).__name__} at {where(error)}"))
            raise

    async def stop(self) -> None:
        """Drain, commit, leave the group, close."""
        self._is_stopping = True
        await self.app.stop()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self.scoring.stop()
        await self.learning.stop()
        await self.projection.flush()
        await self.producer.stop()
        self.ownership.close()
        self.scorer.close()
        if self._tracing is not None:
            await asyncio.to_thread(self._tracing.close)
        await self.health.stop()


def _calm_collector() -> None:
    """Take what the imports made out of the collector's sight: walking it took 70 ms every few thousand turns."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(*COLLECTOR_THRESHOLDS)


def create_worker(
    settings: Settings,
    panel: Panel,
    supply: Supply | None = None,
    fatal: Fatal = end_process,
    tracing: "Tracing | None" = None,
) -> Worker:
    """A worker that has not started; nothing is read from the environment, and nothing is global.

    `supply` names the experts of the panel, and loads those that are enabled later; unless given, they have names of
    their own, and others come from the folder of the settings. `tracing`: where spans are exported."""
    if supply is None:
        supply = Supply(tuple(expert.name for expert in panel.experts), partial(open_expert, settings))
    return Worker(settings, panel, supply, fatal, tracing)


async def run_worker(worker: Worker) -> None:
    """Run until SIGTERM or SIGINT; returns when everything is drained and committed. Ends the process when that takes
    longer than the drain time-out, and when it is told to end before it has started: then nothing has begun."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in SIGNALS:
        loop.add_signal_handler(number, stop.set)
    log.info("worker_starting")
    starting = asyncio.create_task(worker.start())
    stopping = asyncio.create_task(stop.wait())
    await asyncio.wait([starting, stopping], return_when=asyncio.FIRST_COMPLETED)
    if not starting.done() and not worker.ownership.generation:
        worker.app.batches.leave(LEAVE_SECONDS)
        end_undrained("told to end before it had started")
    await starting
    while not stop.is_set() and not worker.app.crashed:
        await asyncio.wait([stopping], timeout=0.2)
    if worker.app.crashed:
        worker.fatal(crashed(worker.app.crash_reason, worker.settings.instance_id))
    log.info("worker_stopping")
    # A thread: what keeps the loop busy, or Python from ending, must not keep the process.
    last = threading.Timer(worker.settings.drain_timeout, worker.give_up)
    last.daemon = True
    last.start()
    try:
        await worker.stop()
    except Exception as error:  # noqa: BLE001 - aiokafka raises all sorts when its broker is gone, and nothing can be lost
        end_undrained(f"it could not be closed ({type(error).__name__})")
    for number in SIGNALS:  # once more changes nothing, to the end of the process
        loop.remove_signal_handler(number)
        signal.signal(number, signal.SIG_IGN)
    log.info("worker_stopped")


def _agent(pipeline: Pipeline) -> Callable[[Any], Awaitable[None]]:
    async def agent(stream: Any) -> None:
        async for event in stream.noack().events():
            await pipeline.put(event.value)

    return agent


async def _refuse_mismatches(settings: Settings) -> None:
    library = logging.getLogger("aiokafka")
    level = library.level
    library.setLevel(logging.CRITICAL)  # an unreachable broker is one line, ours
    try:
        await refuse_lacking(settings)
        found = await check(settings)
    finally:
        library.setLevel(level)
    refused = [mismatch for mismatch in found if mismatch.refused]
    if refused:
        more = f" (and {len(refused) - 1} more: aegis topics check)" if len(refused) > 1 else ""
        raise TopicsError(f"{refused[0]}{more}")
    for mismatch in found:
        log.warning("topic_differs", topic=mismatch.topic, problem=mismatch.problem, remedy=mismatch.remedy)
