"""The learn agent's work: labels in; votes and moments in one record batch, then offset out."""

import asyncio
from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from ensemble.policy import CLASSES
from stream import state
from stream.codecs import Rejected, decode_label
from stream.counting import Countings
from stream.dead_letters import DeadLetters, is_replayed
from stream.early import Said, kept_with
from stream.labels import MOST_ANNOTATORS, is_crowded, vote
from stream.lessons import Lesson
from stream.metrics import Metrics
from stream.partitions import now_ms
from stream.pipeline import End, Slice
from stream.producer import Outgoing, Producer
from stream.projection import Projection
from stream.records import Label
from stream.requests import milliseconds
from stream.routing import Journey, candidates, next_stop
from stream.settings import Settings
from stream.topics import TopicNames
from stream.view import MergedView

LABELS_TOGETHER = 500
"""Labels processed together, at most: bounds the time in which the loop does nothing else (about 10 ms)."""


@dataclass(slots=True)
class Effects:
    """What a slice causes besides its lessons."""

    writes: list["asyncio.Future[Any]"] = field(default_factory=list)
    letters: list[tuple[Any, Rejected]] = field(default_factory=list)
    forwards: dict[int, list[Outgoing]] = field(default_factory=lambda: defaultdict(list))
    touched: set[str] = field(default_factory=set)
    delays: list[float] = field(default_factory=list)
    """Seconds from the decision on a turn to the first label that was learned of it."""


class Learner:
    """Delivery guarantee: at least once in, once in effect. A label counts if and only if its vote is not stored yet,
    and vote and moments are one record batch; so a label sent twice, read twice or forwarded twice changes nothing."""

    def __init__(
        self,
        settings: Settings,
        producer: Producer,
        view: MergedView,
        projection: Projection,
        letters: DeadLetters,
        metrics: Metrics,
        countings: Countings,
        clock: Callable[[], int] = now_ms,
    ) -> None:
        self._names = TopicNames.of(settings)
        self._horizon_ms = int(settings.label_horizon * 1000)
        self._producer = producer
        self._view = view
        self._projection = projection
        self._letters = letters
        self._metrics = metrics
        self._countings = countings
        self._clock = clock

    async def begin(self, slices: list[Slice]) -> End:
        """Each write is queued in one step with its reads: nothing else sees or changes a partition in between. What
        labels did whose write was queued before the group moved on stays: read again, they are repeated."""
        begun: list[tuple[Slice, Effects]] = []
        for part in slices:
            part.check()
            begun.append((part, await self._learn(part)))
        return partial(self._end, begun)

    async def _learn(self, part: Slice) -> Effects:
        effects, lesson, outcomes = Effects(), Lesson(part.partition), Counter[str]()
        for record in part.records:
            label = decode_label(record.value, record.key)
            if isinstance(label, Rejected):
                effects.letters.append((record, label))
                outcome = "rejected"
            else:
                outcome = self._apply(lesson, effects, record, label)
            outcomes[outcome] += 1
            if record.headers and is_replayed(record.headers):
                self._metrics.replayed.labels("labels", outcome).inc()
            if lesson.is_full:
                self._write(lesson, effects)
                lesson = Lesson(part.partition)
                await asyncio.sleep(0)  # many contexts take long, and turns wait
                part.check()
        self._write(lesson, effects)
        for outcome, count in outcomes.items():
            self._metrics.labels.labels(outcome).inc(count)
        if effects.delays:
            self._metrics.label_delay.observe_all(effects.delays)
        if effects.letters:
            effects.writes.append(self._letters.send(part.partition.number, effects.letters))
        for partition, records in effects.forwards.items():
            effects.writes.append(self._producer.append(self._names.labels, partition, records))
        return effects

    def _apply(self, lesson: Lesson, effects: Effects, record: Any, label: Label) -> str:
        """What becomes of one label."""
        key = state.pending_key(label.tenant, label.turn_id)
        stored = lesson.get(key)
        journey = Journey.of(record.headers)
        stamp = min(journey.timestamp_ms or record.timestamp, record.timestamp)
        if stored is None:
            return self._search(lesson, effects, record, label, journey._replace(timestamp_ms=stamp))
        pending = state.decode_pending(stored)
        if is_crowded(pending, label.annotator):
            effects.letters.append(
                (record, Rejected("too_many_votes", f"the turn has votes of {MOST_ANNOTATORS} annotators already"))
            )
            return "rejected"
        counting, at_ms = self._countings.of(pending.context), min(milliseconds(label.labelled_at), stamp)
        cast = vote(pending, label.annotator, CLASSES.index(label.label), at_ms, counting)
        if cast is None:
            return "repeated"
        counted, change = cast
        lesson.take(key, counted, change)
        if counting.is_revoked(label.annotator, at_ms):
            return "revoked"
        if change is None:
            return "waiting" if state.learned_of(counted) is None else "confirmed"
        if change.before is not None:
            return "corrected"
        effects.delays.append(max(0, stamp - pending.scored_at_ms) / 1000)
        return "learned"

    def _search(self, lesson: Lesson, effects: Effects, record: Any, label: Label, journey: Journey) -> str:
        """The turn is not here: forward the label to where the turn can be, else keep it as early, or give up at the
        horizon."""
        now, here = self._clock(), lesson.partition.number
        first = min(journey.first_ms or now, now)
        named = label.source.partition if label.source else None
        partitions = self._producer.partitions(self._names.labels)
        counts = [partitions, *self._view.partition_counts]  # the first label may come before the first count is read
        possible = candidates(label.conversation_id.encode(), counts, named)
        stop, journey = next_stop(here, journey._replace(first_ms=first), possible, partitions)
        if stop is not None:
            effects.forwards[stop].append(Outgoing(record.key, record.value, journey.headers(), record.timestamp))
            return "forwarded"
        if self._countings.requests.forgets_label(label, journey.timestamp_ms):
            effects.letters.append((record, Rejected("turn_not_found", "its turn was forgotten as an operator asked")))
            return "rejected"
        if now - first > self._horizon_ms:
            effects.letters.append(
                (
                    record,
                    Rejected(
                        "turn_not_found",
                        "no turn with this tenant and turn_id was scored within AEGIS_LABEL_HORIZON of the label",
                    ),
                )
            )
            return "rejected"
        return self._keep(lesson, record, label, journey, now)

    def _keep(self, lesson: Lesson, record: Any, label: Label, journey: Journey, now: int) -> str:
        key = state.early_key(label.tenant, label.turn_id, label.annotator)
        stored = lesson.get(key)
        kept = state.decode_early(stored) if stored is not None else None
        early = kept_with(kept, Said(journey.first_ms, journey.timestamp_ms, record.key, record.value), journey, now)
        if early is None:
            return "repeated"
        lesson.put(key, state.encode(early))
        return "early"

    def _write(self, lesson: Lesson, effects: Effects) -> None:
        if (write := lesson.write()) is not None:
            effects.writes.append(write)
            effects.touched.update(lesson.contexts)

    async def _end(self, begun: list[tuple[Slice, Effects]]) -> None:
        await asyncio.gather(*(write for _, effects in begun for write in effects.writes))
        for part, effects in begun:
            part.check()
            self._projection.touch(part.partition, effects.touched)
