"""`weights.v1`: what the ensemble believes of each context, with its regret and the bound on it. Published by the owner
of labels partition 0."""

import asyncio
import math
from collections.abc import Callable
from datetime import UTC, datetime
from itertools import islice

import structlog
from aiokafka.errors import KafkaError
from msgspec.structs import replace

from ensemble.codec import encode as encode_moments
from ensemble.policy import Policy
from ensemble.regret import RegretReport, report
from ensemble.shadows import voters_of
from stream import projection
from stream.asking import told_of_unasked
from stream.calibration import DriftWatch, thresholds_of
from stream.codecs import encode
from stream.epochs import Epoch
from stream.errors import WriteError
from stream.learning_gauges import LearningGauges
from stream.metrics import Metrics
from stream.ownership import Ownership
from stream.parts import Packed
from stream.policies import Policies
from stream.priors import aligned, first_prior
from stream.producer import Outgoing, Producer, Written, fenced
from stream.records import Standing, Weights
from stream.roster import Roster
from stream.settings import Settings
from stream.topics import TopicNames
from stream.view import MergedView

log = structlog.get_logger()

INTERVAL = 1.0
"""Seconds: at most so often is a context published."""
SHARE = 0.25
"""Of the loop's time, at most, while many contexts wait, such as all of them when the owner or the experts change: at 1
to 2 ms a context 10,000 tenants of three roles take 2 to 4 minutes, and turns do not wait for them."""
TOGETHER = 5
"""Contexts between two chances for the rest of the worker (about 10 ms)."""


class WeightsPublisher:
    """Also keeps what only one worker may write for all: the partition counts so far, from which prior each context
    learns, and since when its regret is counted."""

    def __init__(
        self,
        settings: Settings,
        producer: Producer,
        ownership: Ownership,
        view: MergedView,
        policies: Policies,
        roster: Roster,
        metrics: Metrics,
    ) -> None:
        self._names = TopicNames.of(settings)
        self._deadline = settings.write_timeout
        self._producer = producer
        self._ownership = ownership
        self._view = view
        self._policies = policies
        self._roster = roster
        self._gauges = LearningGauges(metrics)
        self.epoch: Callable[[str, Epoch | None], Epoch] = lambda context, known: known or Epoch()
        """Of a context, given the one that is recorded."""
        self._generation = 0
        self._recorded = 0
        self._waiting: dict[str, None] = {}
        self._unsaid: set[str] = set()
        self._drift = DriftWatch(metrics)

    async def run(self) -> None:
        """For ever: publish the contexts that changed, while this worker owns partition 0."""
        while True:
            await asyncio.sleep(INTERVAL)
            generation = self._ownership.generation
            if self._ownership.owner_of(0, generation) is None:
                if self._generation:
                    self._gauges.forget()
                self._generation = 0
                self._waiting.clear()
                self._drift.forget()
                continue
            if generation != self._generation:  # a new owner publishes all: the last one may have died before it could
                self.begin()
                self._generation = generation
            if self._producer.partitions(self._names.turns) not in (*self._view.partition_counts, self._recorded):
                await self._record_count()  # raised without `aegis topics grow`, which records it first
            await self._publish()

    def begin(self) -> None:
        """A new owner of partition 0 has all contexts to say, as has one that hears of a new epoch. What was learned of
        those that nobody has spoken of yet may have been forecast from what does not count any more."""
        self._view.touch_all()
        self._unsaid = self._view.changed - self._view.baselines.keys()

    async def prepare(self) -> None:
        """Before partition 0 is worked on: labels look for turns that were scored under an earlier count.

        `moments.v1[0]` is fenced with it, so behind this record nothing of an older owner can come; and all that it had
        recorded is read now, since a prior is chosen once. Raises WriteError when that takes too long."""
        if 0 not in self._ownership.partitions:
            return
        offset, moments = await self._record_count(), self._names.moments
        try:
            async with asyncio.timeout(self._deadline):
                await self._view.has_read(0, offset)
        except TimeoutError as error:
            seconds = f"{self._deadline:g} s"
            raise WriteError(f"{moments}[0] was not read to offset {offset} in {seconds}: is it online?") from error

    async def _record_count(self) -> int:
        """Where it stands."""
        self._recorded = self._producer.partitions(self._names.turns)
        [(offset, _)] = await self._record([projection.count_record(self._recorded)])
        return offset

    async def _record(self, records: list[Outgoing]) -> list[Written]:
        """Write what only the owner of partition 0 may write. Raises FencedError where another worker is that now."""
        try:
            return await self._producer.append(self._names.moments, 0, records)
        except KafkaError as error:
            raise fenced(error, self._names.moments, 0) from error

    def _is_owner(self) -> bool:
        return self._ownership.owner_of(0, self._generation) is not None

    async def _publish(self) -> None:
        """What has changed last first, then what still waits, for its share of an interval: thousands of contexts may
        neither stop the loop nor hold up the one that learns now."""
        fresh, self._view.changed = sorted(self._view.changed), set()
        self._waiting = dict.fromkeys((*fresh, *self._waiting))
        loop, spent, published = asyncio.get_running_loop(), 0.0, bool(self._waiting)
        while self._waiting and spent < SHARE * INTERVAL and self._is_owner():
            some = list(islice(self._waiting, TOGETHER))
            began = loop.time()
            await self._record_priors(some)
            if not self._is_owner():
                break
            baselines, records = self._told(some)
            spent += loop.time() - began
            if baselines:
                await self._record(baselines)
            await self._producer.append(self._names.weights, 0, records)
            for context in some:
                self._waiting.pop(context, None)
        if published:
            self._gauges.tell()

    def _told(self, contexts: list[str]) -> tuple[list[Outgoing], list[Outgoing]]:
        """The baselines that begin, and what is said of each context."""
        baselines, records = [], []
        for context in contexts:
            policy = self._policies.of(context)
            if self._view.baselines.get(context, ("", None))[0] != self._reading(context, policy):
                baselines.append(self._begin_baseline(context, policy))
            records.append(Outgoing(context.encode(), encode(self._weights(context, policy))))
        return baselines, records

    async def _record_priors(self, contexts: list[str]) -> None:
        """Of those with their first labelled rounds. A worker forecasts from these rounds once it has read the record:
        this one as soon as the broker has it, so that what is published next is what it forecasts from."""
        fresh = [context for context in contexts if context not in self._view.priors]
        while fresh and self._view.parents.count():
            await asyncio.sleep(0)
        begun: dict[str, dict[str, float]] = {}
        for context in fresh:
            policy = self._policies.of(context)
            learned = self._view.learned(context, policy)
            prior = first_prior(self._view.parents, context, learned, policy, self._roster.latest.voters)
            if prior is not None:
                begun[context] = prior
        if begun and self._is_owner():
            await self._record([*map(projection.prior_record, begun, begun.values())])
            for context, prior in begun.items():
                self._view.begin(context, prior)

    def _begin_baseline(self, context: str, policy: Policy) -> Outgoing:
        """A policy that reads the moments anew, and an epoch, start their regret from a copy of them; the first policy
        of a context from nothing, unless an epoch may have come before it was spoken of."""
        reading = self._reading(context, policy)
        is_first = context not in self._view.baselines
        is_whole = is_first and (reading == policy.fingerprint() or context not in self._unsaid)
        moments = None if is_whole else self._view.learned(context, policy)
        self._unsaid.discard(context)
        self._view.baselines[context] = (reading, None if moments is None else Packed(encode_moments(moments)))
        return Outgoing(projection.baseline_key(context), projection.encode_baseline(reading, moments))

    def _reading(self, context: str, policy: Policy) -> str:
        """By which a baseline is known: the policy's fingerprint, and the epoch."""
        recorded = self._view.baselines.get(context)
        known = None if recorded is None else Epoch.read(recorded[0])
        return policy.fingerprint() + str(self.epoch(context, known))

    def _weights(self, context: str, policy: Policy) -> Weights:
        moments, (_, kept) = self._view.learned(context, policy), self._view.baselines[context]
        baseline = None if kept is None else kept.moments()
        prior = self._view.priors.get(context)
        found = report(moments, policy, baseline=baseline, prior=aligned(prior, voters_of(moments.experts)))
        if found.alarm:
            log.error(
                "regret_above_bound",
                policy=policy.name,
                ratio=round(found.ratio, 3),
                remedy="a bug or a wrong label stream",
            )
        voters = self._roster.latest.voters
        weights = dict(zip(voters, self._view.forecaster(context, policy, voters).weights().tolist(), strict=True))
        self._gauges.learn(context, found, weights)
        since = baseline.rounds if baseline is not None else 0
        told = replace(
            _record(context, policy, found, weights, moments.rounds, since),
            thresholds=thresholds_of(self._view.thresholds(context, policy)),
            drift=self._drift.look(context, policy, moments),
        )
        return told_of_unasked(told, self._view.total(context), self._view.unasked(context), policy)


def _record(
    context: str, policy: Policy, found: RegretReport, weights: dict[str, float], rounds: int, since: int
) -> Weights:
    """`weights` of those that vote now: an expert that voted once has 0, one that has not learned yet no loss."""
    learned = zip(found.experts, found.losses.tolist(), found.regret.tolist(), strict=True)
    standings = [Standing(name, weights.get(name, 0.0), loss, regret) for name, loss, regret in learned]
    standings += [Standing(name, weights[name], 0.0, 0.0) for name in weights if name not in found.experts]
    beside = zip(found.shadows, found.shadow_losses.tolist(), found.shadow_regret.tolist(), strict=True)
    return Weights(
        context, policy.name, rounds, since, datetime.now(UTC), tuple(standings),
        found.loss, found.bound if math.isfinite(found.bound) else None, found.delay, found.alarm,
        tuple(Standing(name, 0.0, loss, regret) for name, loss, regret in beside),
    )  # fmt: skip
