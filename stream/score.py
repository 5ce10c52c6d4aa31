"""The score agent's work: turns in; pending record, then verdict, then offset out."""

import asyncio
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

from ensemble.policy import CLASSES
from experts.base import OK, STATUS_NAMES, Advice, Passage
from stream import state
from stream.batch_traces import Heard, Outcome, Times, Told, carried, exemplars, offset_of
from stream.codecs import Rejected, decode_turn
from stream.conversations import Memory, Noted, together
from stream.dead_letters import DeadLetters, is_replayed
from stream.early import send_again
from stream.judge import Judge
from stream.metric_kinds import exemplar_of
from stream.metrics import Metrics
from stream.partitions import now_ms
from stream.pipeline import End, Slice
from stream.policies import Policies
from stream.producer import Outgoing, Producer, Written
from stream.records import Turn
from stream.requests import Requests
from stream.roster import Roster
from stream.settings import Settings
from stream.topics import TopicNames
from stream.trace_context import trace_context
from stream.verdicts import Arrival, verdict_lines
from stream.view import MergedView

if TYPE_CHECKING:
    from stream.tracing import Tracing

SMALLEST, LARGEST = 8, 2000
"""Turns scored together, at least and at most: below it a slow expert would be asked turn by turn, above it a batch's
memory grows and its speed does not."""


REUSED = Rejected("turn_id_reused", "this turn_id was used before with another role or text: give each turn its own id")


@dataclass(slots=True)
class Reading:
    """What one slice holds. `turns`: each usable turn with its pending record, or with its place among those that are
    being decided; `fresh`: the keys first seen here, the place of each, and what it notes of its conversation; `known`:
    every turn with its record, once decided; `heard`: the trace contexts of those that came with one."""

    part: Slice
    letters: list[tuple[Any, Rejected]] = field(default_factory=list)
    turns: list[tuple[Turn, state.Pending | int]] = field(default_factory=list)
    fresh: list[tuple[bytes, int, Noted | None]] = field(default_factory=list)
    known: list[tuple[Turn, state.Pending]] = field(default_factory=list)
    heard: list[Heard] = field(default_factory=list)


@dataclass(slots=True)
class Fresh:
    """The turns of a batch that are to be decided, and what experts read of each, in one order; `places`: where each
    state key of a partition stands in it."""

    memory: Memory
    arrivals: list[Arrival] = field(default_factory=list)
    passages: list[Passage] = field(default_factory=list)
    places: defaultdict[int, dict[bytes, int]] = field(default_factory=lambda: defaultdict(dict))


class BatchSize:
    """Turns that take about `seconds`, from what the last batches took."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._rate = SMALLEST / seconds

    def __call__(self) -> int:
        return max(SMALLEST, min(LARGEST, int(self._rate * self._seconds)))

    def took(self, turns: int, seconds: float) -> None:
        """Only a batch as large as asked for says anything of the rate; the estimate at most doubles a batch."""
        if turns >= self() // 2 and seconds > 0:
            self._rate = min(2 * self._rate, 0.5 * self._rate + 0.5 * turns / seconds)


class Scorer:
    """Delivery guarantee: at least once in, once in effect. A turn read again finds its pending record and publishes
    the same verdict again, bit for bit.

    The pending record is acknowledged before the verdict is sent, and both before the offset moves."""

    def __init__(
        self,
        settings: Settings,
        producer: Producer,
        roster: Roster,
        view: MergedView,
        policies: Policies,
        letters: DeadLetters,
        metrics: Metrics,
        clock: Callable[[], int] = now_ms,
    ) -> None:
        self._settings = settings
        self._names = TopicNames.of(settings)
        self._producer = producer
        self._roster = roster
        self._judge = Judge(roster, view, policies, clock)
        self._clock = clock
        self._letters = letters
        self._metrics = metrics
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="experts")
        self.size = BatchSize(settings.batch_seconds)
        self.requests = Requests()
        """Replaced by those that are read, before the first batch."""
        self.tracing: Tracing | None = None
        """Set where spans are exported."""
        self.deciding = asyncio.Lock()
        """Held from a batch's first look at the state to its writes: what is taken out of a conversation in between
        would come back."""

    async def begin(self, slices: list[Slice]) -> End:
        """Score what is new and queue its pending records; what is returned publishes. Records that are too many are
        taken out of the slices, and come again."""
        async with self.deciding:
            started, times = time.perf_counter(), Times(time.time_ns())
            readings, fresh = self._read(slices)
            sampled = next((h.context.trace_id for r in readings for h in r.heard if h.context.is_sampled), None)
            times.decoded = time.time_ns()
            decided = await self._decide(slices, fresh, times, sampled)
            seconds, times.decided = time.perf_counter() - started, time.time_ns()
            writes = [write for reading in readings for write in self._write(reading, decided)]
        self.size.took(len(fresh.arrivals), seconds)
        self._metrics.batch.observe(seconds, exemplar_of(sampled))
        return partial(self._publish, readings, writes, times)

    def _read(self, slices: list[Slice]) -> tuple[list[Reading], Fresh]:
        """Decode, and tell turns that are new from those seen before, in the state or in these very slices.

        Ends where as many are new as experts are to be asked about at once: what is left is taken out of the slices.
        What is set aside or known already costs no expert's time, and must not make batches small."""
        readings, fresh, most = [], Fresh(Memory(self._settings, self._clock(), self.requests)), self.size()
        for part in slices:
            reading, read = Reading(part), 0
            while read < len(part.records) and len(fresh.arrivals) < most:
                came, read = self._decode(reading, read, most - len(fresh.arrivals))
                self._sort(reading, came, fresh)
            part.records = part.records[:read]
            readings.append(reading)
        return readings, fresh

    def _decode(self, reading: Reading, read: int, most: int) -> tuple[list[tuple[Any, Turn]], int]:
        """The next turns of a slice from record `read` on, at most so many, and up to which record that was."""
        came, records = list[tuple[Any, Turn]](), reading.part.records
        while read < len(records) and len(came) < most:
            record = records[read]
            read += 1
            turn = decode_turn(record.value, self._settings.max_text_bytes)
            if isinstance(turn, Rejected):
                reading.letters.append((record, turn))
                if record.headers:
                    self._heed(reading, record, "rejected")
            else:
                came.append((record, turn))
        return came, read

    def _sort(self, reading: Reading, came: list[tuple[Any, Turn]], fresh: Fresh) -> None:
        partition = reading.part.partition
        number, places = partition.number, fresh.places[partition.number]
        keys = [state.pending_key(turn.tenant, turn.turn_id) for _, turn in came]
        for (record, turn), key, stored in zip(came, keys, partition.get_many(keys), strict=True):
            digest = state.digest(turn.role, turn.text)
            again: state.Pending | int
            if (place := places.get(key)) is not None:
                before, again = fresh.arrivals[place].digest, place
            elif stored is not None:
                again = state.decode_pending(stored)
                before = again.digest
            else:
                place = places[key] = len(fresh.arrivals)
                history, note = fresh.memory.recall(partition, turn, record.offset, record.timestamp)
                fresh.arrivals.append(Arrival(turn, number, record.offset, record.timestamp, digest))
                fresh.passages.append(Passage(turn.role, turn.text, history))
                reading.fresh.append((key, place, note))
                reading.turns.append((turn, place))
                if record.headers:
                    self._heed(reading, record, "judged")
                continue
            if before != digest:
                reading.letters.append((record, REUSED))
            else:
                reading.turns.append((turn, again))
                if place is None:
                    self._metrics.repeated.inc()
            if record.headers:
                self._heed(reading, record, "rejected" if before != digest else "repeated")

    def _heed(self, reading: Reading, record: Any, outcome: Outcome) -> None:
        """The headers of the record that was put last among the turns or the letters of a slice."""
        if is_replayed(record.headers):
            self._metrics.replayed.labels("turns", outcome).inc()
        if (context := trace_context(record.headers)) is not None:
            place = len(reading.letters if outcome == "rejected" else reading.turns) - 1
            reading.heard.append(Heard(context, record.offset, outcome, place))

    async def _decide(
        self, slices: list[Slice], fresh: Fresh, times: Times, sampled: str | None
    ) -> list[state.Pending]:
        if not fresh.passages:
            return []
        advice = await asyncio.get_running_loop().run_in_executor(self._thread, self._judge.advise, fresh.passages)
        times.advised, times.asked = time.time_ns(), len(fresh.passages)
        times.experts = dict(zip(self._roster.ids, advice.seconds.tolist(), strict=True))
        for part in slices:
            part.check()
        self._count_advice(advice, times, sampled)
        decided = await self._judge.decide_beside(fresh.arrivals, advice)
        for part in slices:
            part.check()
        return decided

    def _count_advice(self, advice: Advice, times: Times, sampled: str | None) -> None:
        self._metrics.batch_turns.observe(times.asked)
        for expert, seconds in times.experts.items():
            self._metrics.expert_seconds.labels(expert).observe(seconds, exemplar_of(sampled))
        voting = [self._roster.ids.index(expert) for expert in self._roster.voters]
        if undecided := int((advice.status[:, voting] != OK).all(axis=1).sum()):
            self._metrics.undecided.inc(undecided)
        for code in range(1, len(STATUS_NAMES)):
            for expert, count in zip(self._roster.ids, (advice.status == code).sum(axis=0).tolist(), strict=True):
                if count:
                    self._metrics.asleep.labels(expert, STATUS_NAMES[code]).inc(count)

    def _write(self, reading: Reading, decided: list[state.Pending]) -> Iterator["asyncio.Future[Any]"]:
        """Queue what a slice causes, and put its turns' decisions beside them."""
        partition = reading.part.partition
        reading.known = [(turn, decided[p] if isinstance(p, int) else p) for turn, p in reading.turns]
        partition.decided += len(reading.fresh)
        for items in together([(key, state.encode(decided[place]), note) for key, place, note in reading.fresh]):
            yield partition.write(items, atomic=True)
        if reading.letters:
            yield self._letters.send(partition.number, reading.letters)

    async def _publish(self, readings: list[Reading], writes: "list[asyncio.Future[Any]]", times: Times) -> None:
        await asyncio.gather(*writes)
        times.written = time.time_ns()
        sent: dict[int, asyncio.Future[list[Written]]] = {}
        for place, reading in enumerate(readings):
            reading.part.check()
            if reading.known:
                sent[place] = self._producer.append(
                    self._names.verdicts, reading.part.partition.number, self._verdicts(reading)
                )
        written = dict(zip(sent, await asyncio.gather(*sent.values()), strict=True))
        times.sent = time.time_ns()
        self._metrics.publish.observe(max(0, times.sent - times.decided) / 1e9)
        if self.tracing is not None:
            self._tell(self.tracing, times, readings, written)
        await asyncio.gather(*(self._send_early_again(reading) for reading in readings if reading.part.partition.early))

    def _verdicts(self, reading: Reading) -> list[Outgoing]:
        known, mix = reading.known, [0, 0, 0]
        for _, pending in known:
            mix[pending.label] += 1
        self._metrics.latency.observe_all(
            [pending.latency_ms / 1000 for _, pending in known], exemplars(reading.heard) if reading.heard else None
        )
        for name, count in zip(CLASSES, mix, strict=True):
            self._metrics.verdicts.labels(name).inc(count)
        lines = verdict_lines(known, self._names.turns)
        outgoing = [Outgoing(turn.conversation_id.encode(), line) for (turn, _), line in zip(known, lines, strict=True)]
        for place, headers in carried(reading.heard).items():
            outgoing[place] = Outgoing(outgoing[place].key, outgoing[place].value, headers)
        return outgoing

    def _tell(
        self, tracing: "Tracing", times: Times, readings: list[Reading], written: dict[int, list[Written]]
    ) -> None:
        """Spans of sampled turns, as many as may be told of."""
        sampled = [(n, heard) for n, r in enumerate(readings) for heard in r.heard if heard.context.is_sampled]
        told = list[Told]()
        for n, heard in sampled[: tracing.allow(len(sampled))] if sampled else ():
            reading, sent = readings[n], None
            if heard.outcome == "rejected":
                about = {"error.type": reading.letters[heard.place][1].reason}
            else:
                pending = reading.known[heard.place][1]
                about = {"aegis.verdict.label": CLASSES[pending.label], "aegis.policy": pending.policy}
                sent = offset_of(written[n], heard.place)
            told.append(Told(heard.context, reading.part.partition.number, heard.offset, heard.outcome, sent, about))
        if told:
            tracing.tell(times, told)

    async def _send_early_again(self, reading: Reading) -> None:
        """Labels that came before their turn go to `labels` once more; their records are deleted when the broker has
        them. A crash in between repeats a vote, which changes nothing."""
        partition = reading.part.partition
        keys = dict.fromkeys(key for turn, _ in reading.known for key in partition.early_of(turn.tenant, turn.turn_id))
        found = [(key, state.decode_early(value)) for key in keys if (value := partition.get(key)) is not None]
        await send_again(self._producer, self._names.labels, partition, found)

    def close(self) -> None:
        self._thread.shutdown(wait=False)
        self._roster.close()
