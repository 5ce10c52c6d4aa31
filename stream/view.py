"""The merged view: every worker's sum of what all partitions have learned, so that it forecasts alike wherever a
conversation lands.

A context learns from the labels that were asked for, and from the others at the weight that its policy gives them. It
is forecast from its own moments once its prior is recorded, until then as its parents are (`priors`)."""

import asyncio
from typing import Any

import structlog
from aiokafka import AIOKafkaConsumer, TopicPartition

from ensemble.forecaster import Forecaster
from ensemble.moments import Moments, total
from ensemble.policy import Policy
from ensemble.sampling import with_unasked
from ensemble.thresholds import DecisionThresholds, calibrate
from stream import projection
from stream.asking import context_of_class, unasked_of
from stream.priors import Parents, aligned
from stream.reading import reader, take_up
from stream.settings import Settings
from stream.topics import TopicNames

log = structlog.get_logger()

POLL_MS = 500
REFRESH_SECONDS = 2.0
"""Between looks at how many partitions there are, as the client has last heard (`METADATA_MS`)."""
PARENTS_SECONDS = 3.0
"""Between two times that what came is added to the parents' sums: only contexts without labels read them."""


class MergedView:
    """The newest moments of each context and partition, their totals, and the forecasters made of them."""

    def __init__(self, settings: Settings) -> None:
        self._broker = settings.broker
        self._client_id = settings.app_id
        self._topic = TopicNames.of(settings).moments
        self._parts: dict[str, dict[int, tuple[int, Moments]]] = {}
        self._totals: dict[str, Moments] = {}
        # By context, then by policy: a record of one context must not look through those of all others.
        self._forecasters: dict[str, dict[str, Forecaster]] = {}
        self._thresholds: dict[str, dict[str, tuple[DecisionThresholds, Policy]]] = {}
        self._caught_up = asyncio.Event()
        self.baselines: dict[str, tuple[str, Moments | None]] = {}
        self.priors: dict[str, dict[str, float]] = {}
        self.parents = Parents()
        self.partition_counts: list[int] = []
        self.changed: set[str] = set()

    async def ready(self) -> None:
        """Returns when everything published before the start has been read."""
        await self._caught_up.wait()

    def total(self, context: str) -> Moments:
        """The sum over partitions of the labels that were asked for, or under the key of a class those of that class:
        in the order of their numbers, so that workers with the same records agree bit for bit."""
        if context not in self._totals:
            parts = self._parts.get(context, {})
            self._totals[context] = total(parts[number][1] for number in sorted(parts))
        return self._totals[context]

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
        known = self._forecasters.setdefault(context, {})
        made = known.get(policy.name)
        if made is None or made.experts != voters:
            prior = aligned(self.priors[context], voters)
            made = known[policy.name] = Forecaster.of(self.learned(context, policy), policy, voters, prior)
        return made

    def thresholds(self, context: str, policy: Policy) -> DecisionThresholds:
        """Those of a context now."""
        return self._calibrated(context, policy)[0]

    def deciding(self, context: str, policy: Policy) -> Policy:
        """The policy with the thresholds of a context now; itself where they are fixed."""
        return policy if policy.thresholds == "fixed" else self._calibrated(context, policy)[1]

    def _calibrated(self, context: str, policy: Policy) -> tuple[DecisionThresholds, Policy]:
        """Made once for each change of the moments, as forecasters are: it takes half a millisecond."""
        known = self._thresholds.setdefault(context, {})
        if policy.name not in known:
            found = calibrate(self.learned(context, policy), policy)
            known[policy.name] = found, found.applied(policy)
        return known[policy.name]

    def contexts(self) -> list[str]:
        """Those with labels, asked for or not."""
        return list(dict.fromkeys(map(context_of_class, self._parts)))

    def touch_all(self) -> None:
        """Every context reads otherwise now, such as when other experts vote."""
        self.changed.update(self.contexts())

    def learn(self, partition: int, key: bytes, value: bytes | None) -> None:
        """Take one record of `moments.v1` in."""
        if value is None:
            return
        if key.startswith(projection.COUNTS):
            counts = {*self.partition_counts, *projection.decode_counts(value)}
            self.partition_counts = sorted(counts, reverse=True)  # they only grow: the newest first
        elif key.startswith(projection.BASELINE):
            self.baselines[projection.context_of_key(key)] = projection.decode_baseline(value)
        elif key.startswith(projection.PRIOR):
            context, prior = projection.context_of_key(key), projection.decode_prior(value)
            if self.priors.get(context) != prior:
                self.begin(context, prior)
                self.changed.add(context)
        else:
            self._learn_part(partition, projection.context_of_key(key), *projection.decode_part(value))

    def _learn_part(self, partition: int, key: str, offset: int, moments: Moments) -> None:
        parts = self._parts.setdefault(key, {})
        if partition in parts and parts[partition][0] > offset:
            return  # of an owner that was overtaken
        parts[partition] = (offset, moments)
        self._totals.pop(key, None)
        self.parents.take(key, partition, moments)
        context = context_of_class(key)
        self._forget(context)
        self.changed.add(context)

    def begin(self, context: str, prior: dict[str, float]) -> None:
        """The prior of a context is recorded: from now on it is forecast from its own moments."""
        self.priors[context] = prior
        self._forget(context)

    def _forget(self, context: str) -> None:
        """What was made of a context's moments is made anew when it is asked for."""
        self._forecasters.pop(context, None)
        self._thresholds.pop(context, None)

    async def keep_parents(self) -> None:
        """For ever: add to the parents' sums what came, some at a time."""
        while True:
            await asyncio.sleep(0 if self.parents.count() else PARENTS_SECONDS)

    async def run(self) -> None:
        """For ever: read `moments.v1` from its beginning."""
        async with reader(self._broker, self._client_id) as consumer:
            behind = await self._assign(consumer)
            loop = asyncio.get_running_loop()
            looked = loop.time()
            while True:
                for tp, records in (await consumer.getmany(timeout_ms=POLL_MS)).items():
                    for record in records:
                        self.learn(tp.partition, record.key, record.value)
                if not self._caught_up.is_set():
                    behind = {tp: end for tp, end in behind.items() if await consumer.position(tp) < end}
                    if not behind:
                        self._caught_up.set()
                        log.info("view_caught_up", contexts=len(self._parts))
                if loop.time() - looked > REFRESH_SECONDS:
                    looked = loop.time()
                    await take_up(consumer, await self._partitions(consumer))

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
