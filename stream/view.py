"""The merged view: every worker's sum of what all partitions have learned, so that it forecasts alike wherever a
conversation lands.

A context learns from the labels that were asked for, and from the others at the weight that its policy gives them. It
is forecast from its own moments once its prior is recorded, until then as its parents are (`priors`)."""

import asyncio
from functools import partial
from typing import Any

import structlog
from aiokafka import AIOKafkaConsumer, TopicPartition

from ensemble.forecaster import Forecaster
from ensemble.moments import Moments
from ensemble.policy import Policy
from ensemble.sampling import with_unasked
from ensemble.thresholds import DecisionThresholds, calibrate
from stream import projection
from stream.asking import context_of_class, unasked_of
from stream.bounded import Bounded
from stream.errors import ForeignRecordError
from stream.parts import Packed, Parts
from stream.priors import Parents, aligned
from stream.reading import reader, take_up
from stream.settings import Settings
from stream.topics import TopicNames

log = structlog.get_logger()

POLL_MS = 500
LOOK_SECONDS = 0.02
"""Between two looks at how far the view has read; only a beginning owner of partition 0 waits for that."""
RECORDS_TOGETHER = 100
"""Read at a time, at most: unzipping what the broker has sent takes up to 0.05 ms a record, and holds the loop."""
BUSY_SECONDS = 0.005
"""That records are taken in without a chance for the rest of the worker."""
PROGRESS_SECONDS = 5.0
"""Between two progress lines while the view catches up."""
REFRESH_SECONDS = 2.0
"""Between looks at how many partitions there are, as the client has last heard (`METADATA_MS`)."""
PARENTS_SECONDS = 3.0
"""Between two times that what came is added to the parents' sums: only contexts without labels read them."""

_Calibrated = tuple[DecisionThresholds, Policy]


class MergedView:
    """The newest moments of each context and partition, their totals, and the forecasters made of them."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._topic = TopicNames.of(settings).moments
        share = settings.cache_bytes // 4
        self._parts = Parts(share)
        # By context, then by policy: a record of one context must not look through those of all others.
        self._forecasters: Bounded[str, dict[str, Forecaster]] = Bounded(share, _forecasters_bytes)
        self._thresholds: Bounded[str, dict[str, _Calibrated]] = Bounded(share, _thresholds_bytes)
        self._caught_up = asyncio.Event()
        self._consumer: AIOKafkaConsumer | None = None
        self._read: dict[int, int] = {}
        self._positions: dict[TopicPartition, int] = {}
        self.baselines: dict[str, tuple[str, Packed | None]] = {}
        self.priors: dict[str, dict[str, float]] = {}
        self.parents = Parents()
        self.partition_counts: list[int] = []
        self.changed: set[str] = set()
        self.left = 0
        """Offsets still to read, as last looked at."""

    async def ready(self) -> None:
        """Returns when everything published before the start has been read."""
        await self._caught_up.wait()

    @property
    def is_caught_up(self) -> bool:
        """As `ready` waits for."""
        return self._caught_up.is_set()

    async def has_read(self, partition: int, offset: int) -> None:
        """Returns when the record at this offset of a partition is taken in, and all before it."""
        while self._read.get(partition, -1) < offset:
            await asyncio.sleep(LOOK_SECONDS)

    async def reads_all(self, partitions: int) -> None:
        """Returns when everything that was published before the call is taken in, in so many partitions or more. Raises
        KafkaError when the broker does not say in time where they end."""
        await self.ready()
        consumer = self._consumer
        while consumer is None or len(consumer.assignment()) < partitions:
            await asyncio.sleep(LOOK_SECONDS)
        ends: dict[TopicPartition, int] = await consumer.end_offsets(consumer.assignment())
        while any(self._positions.get(tp, 0) < end for tp, end in ends.items()):
            await asyncio.sleep(LOOK_SECONDS)

    def total(self, context: str) -> Moments:
        """The sum over partitions of the labels that were asked for, or under the key of a class those of that
        class."""
        return self._parts.total(context)

    def unasked(self, context: str) -> Moments | None:
        """The sum of the labels that nobody asked for; None where there are none."""
        key = unasked_of(context)
        return self.total(key) if key in self._parts else None

    def learned(self, context: str, policy: Policy) -> Moments:
        """What a policy learns from: what was asked for, and the rest at its weight `unasked`."""
        return with_unasked(self.total(context), self.unasked(context), policy.unasked)

    def forecaster(self, context: str, policy: Policy, voters: tuple[str, ...]) -> Forecaster:
        """The weights of a context now, for the experts that vote."""
        if context not in self.priors:
            return self.parents.forecaster(context, policy, voters)
        known = self._forecasters.get(context) or {}
        made = known.get(policy.name)
        if made is None or made.experts != voters:
            prior = aligned(self.priors[context], voters)
            made = Forecaster.of(self.learned(context, policy), policy, voters, prior)
            self._forecasters[context] = known | {policy.name: made}
        return made

    def thresholds(self, context: str, policy: Policy) -> DecisionThresholds:
        """Those of a context now."""
        return self._calibrated(context, policy)[0]

    def deciding(self, context: str, policy: Policy) -> Policy:
        """The policy with the thresholds of a context now; itself where they are fixed."""
        return policy if policy.thresholds == "fixed" else self._calibrated(context, policy)[1]

    def _calibrated(self, context: str, policy: Policy) -> _Calibrated:
        """Made once for each change of the moments, as forecasters are: it takes half a millisecond."""
        known = self._thresholds.get(context) or {}
        if policy.name not in known:
            found = calibrate(self.learned(context, policy), policy)
            known = known | {policy.name: (found, found.applied(policy))}
            self._thresholds[context] = known
        return known[policy.name]

    def told_of(self, partition: int) -> int:
        """The last changelog offset of a partition that any of its moments reflect; -1 where there are none."""
        return self._parts.newest.get(partition, -1)

    def contexts(self) -> list[str]:
        """Those with labels, asked for or not."""
        return list(dict.fromkeys(map(context_of_class, self._parts)))

    def touch_all(self) -> None:
        """Every context reads otherwise now, such as when other experts vote."""
        self.changed.update(self.contexts())

    def learn(self, partition: int, key: bytes | None, value: bytes | None) -> None:
        """Take one record of `moments.v1` in. Raises ForeignRecordError, with nothing changed, for one that no worker
        wrote."""
        if value is None:
            return
        if key is None:
            raise ForeignRecordError("a record without a key")
        if key.startswith(projection.COUNTS):
            counts = {*self.partition_counts, *projection.decode_counts(value)}
            self.partition_counts = sorted(counts, reverse=True)  # they only grow: the newest first
        elif key.startswith(projection.BASELINE):
            fingerprint, record = projection.baseline_of(value)
            began = None if record is None else projection.told(Packed, record)
            self.baselines[projection.context_of_key(key)] = fingerprint, began
        elif key.startswith(projection.PRIOR):
            context, prior = projection.context_of_key(key), projection.decode_prior(value)
            if self.priors.get(context) != prior:
                self.begin(context, prior)
                self.changed.add(context)
        elif key.startswith(projection.PART):
            self._learn_part(partition, projection.context_of_key(key), *projection.part_of(value))
        else:
            raise ForeignRecordError("a key of no kind")

    def _take(self, record: Any) -> None:
        """What a stranger wrote is left out and told: it must not stop every worker of the application."""
        try:
            self.learn(record.partition, record.key, record.value)
        except ForeignRecordError as error:
            place = {"topic": record.topic, "partition": record.partition, "offset": record.offset}
            log.error("foreign_record", **place, why=str(error), remedy="see who may write to this topic")

    def _learn_part(self, partition: int, key: str, offset: int, record: bytes) -> None:
        part = projection.told(partial(self._parts.take, key, partition, offset), record)
        if part is None:
            return
        self.parents.take(key, partition, part)
        context = context_of_class(key)
        self._forget(context)
        self.changed.add(context)

    def begin(self, context: str, prior: dict[str, float]) -> None:
        """The prior of a context is recorded: from now on it is forecast from its own moments."""
        self.priors[context] = prior
        self._forget(context)

    def _forget(self, context: str) -> None:
        """What was made of a context's moments is made anew when it is asked for."""
        self._forecasters.pop(context)
        self._thresholds.pop(context)

    async def keep_parents(self) -> None:
        """For ever: add to the parents' sums what came, some at a time."""
        while True:
            await asyncio.sleep(0 if self.parents.count() else PARENTS_SECONDS)

    async def run(self) -> None:
        """For ever: read `moments.v1` from its beginning."""
        async with reader(self._settings) as consumer:
            behind = await self._assign(consumer)
            self.left = await _left(consumer, behind)
            loop = asyncio.get_running_loop()
            looked = told = loop.time()
            self._consumer = consumer
            while True:
                found = await consumer.getmany(timeout_ms=POLL_MS, max_records=RECORDS_TOGETHER)
                await self._take_all(found)
                for tp in found or consumer.assignment():
                    self._positions[tp] = await consumer.position(tp)
                if not self._caught_up.is_set():
                    behind = {tp: end for tp, end in behind.items() if await consumer.position(tp) < end}
                    if not behind:
                        self._caught_up.set()
                        log.info("view_caught_up", contexts=len(self._parts))
                    elif loop.time() - told > PROGRESS_SECONDS:
                        told = loop.time()
                        log.info("view_progress", contexts=len(self._parts), partitions_behind=len(behind))
                if loop.time() - looked > REFRESH_SECONDS:
                    looked = loop.time()
                    await take_up(consumer, await self._partitions(consumer))
                    self.left = await _left(consumer, behind)

    async def _take_all(self, found: dict[TopicPartition, list[Any]]) -> None:
        """Learn records in their order, and let the rest of the worker have its turn now and then."""
        loop = asyncio.get_running_loop()
        since = loop.time()
        for tp, records in found.items():
            for record in records:
                self._take(record)
                self._read[tp.partition] = record.offset
                if loop.time() - since > BUSY_SECONDS:
                    await asyncio.sleep(0)
                    since = loop.time()

    async def _assign(self, consumer: AIOKafkaConsumer) -> dict[TopicPartition, int]:
        """Start at the beginning; returns the end of each partition now."""
        tps = await self._partitions(consumer)
        consumer.assign(tps)
        await consumer.seek_to_beginning(*tps)
        ends: dict[TopicPartition, int] = await consumer.end_offsets(tps)
        return ends

    async def _partitions(self, consumer: AIOKafkaConsumer) -> list[TopicPartition]:
        await consumer._client._wait_on_metadata(self._topic)
        numbers: Any = consumer.partitions_for_topic(self._topic) or ()
        return [TopicPartition(self._topic, number) for number in sorted(numbers)]


async def _left(consumer: AIOKafkaConsumer, ends: dict[TopicPartition, int]) -> int:
    """Offsets up to where each partition ends, as last heard; `ends` for those of which nothing was heard yet."""
    tps = consumer.assignment()
    return sum([max(0, (consumer.highwater(tp) or ends.get(tp, 0)) - await consumer.position(tp)) for tp in tps])


def _forecasters_bytes(made: dict[str, Forecaster]) -> int:
    return 1_000 + sum(1_000 + 3 * one.log_w.nbytes for one in made.values())


def _thresholds_bytes(made: dict[str, _Calibrated]) -> int:
    return 1_000 + 1_500 * len(made)
