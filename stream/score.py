"""The score agent's work: turns in; pending record, then verdict, then offset out."""

import asyncio
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from ensemble.policy import CLASSES
from experts.base import STATUS_NAMES, Advice, Passage
from stream import state
from stream.codecs import Rejected, decode_turn
from stream.conversations import Memory, Noted, together
from stream.dead_letters import DeadLetters, is_replayed
from stream.early import send_again
from stream.judge import Judge
from stream.metrics import Metrics
from stream.partitions import now_ms
from stream.pipeline import End, Slice
from stream.policies import Policies
from stream.producer import Outgoing, Producer
from stream.records import Turn
from stream.requests import Requests
from stream.roster import Roster
from stream.settings import Settings
from stream.topics import TopicNames
from stream.verdicts import Arrival, verdict_lines
from stream.view import MergedView

SMALLEST, LARGEST = 8, 2000
"""Turns scored together, at least and at most: below it a slow expert would be asked turn by turn, above it a batch's
memory grows and its speed does not."""


REUSED = Rejected("turn_id_reused", "this turn_id was used before with another role or text: give each turn its own id")


@dataclass(slots=True)
class Reading:
    """What one slice holds. `turns`: each usable turn with its pending record, or with its place among those that are
    being decided; `fresh`: the keys first seen here, the place of each, and what it notes of its conversation; `known`:
    every turn with its record, once decided."""

    part: Slice
    letters: list[tuple[Any, Rejected]] = field(default_factory=list)
    turns: list[tuple[Turn, state.Pending | int]] = field(default_factory=list)
    fresh: list[tuple[bytes, int, Noted | None]] = field(default_factory=list)
    known: list[tuple[Turn, state.Pending]] = field(default_factory=list)


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
        self.deciding = asyncio.Lock()
        """Held from a batch's first look at the state to its writes: what is taken out of a conversation in between
        would come back."""

    async def begin(self, slices: list[Slice]) -> End:
        """Score what is new and queue its pending records; what is returned publishes. Records that are too many are
        taken out of the slices, and come again."""
        async with self.deciding:
            started = time.perf_counter()
            readings, fresh = self._read(slices)
            decided = await self._decide(slices, fresh)
            seconds = time.perf_counter() - started
            writes = [write for reading in readings for write in self._write(reading, decided)]
        self.size.took(len(fresh.arrivals), seconds)
        self._metrics.batch.observe(seconds)
        return partial(self._publish, readings, writes)

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
                    self._count_replayed(record, "rejected")
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
                    self._count_replayed(record, "judged")
                continue
            if before != digest:
                reading.letters.append((record, REUSED))
            else:
                reading.turns.append((turn, again))
                if place is None:
                    self._metrics.repeated.inc()
            if record.headers:
                self._count_replayed(record, "rejected" if before != digest else "repeated")

    def _count_replayed(self, record: Any, outcome: str) -> None:
        if is_replayed(record.headers):
            self._metrics.replayed.labels("turns", outcome).inc()

    async def _decide(self, slices: list[Slice], fresh: Fresh) -> list[state.Pending]:
        if not fresh.passages:
            return []
        advice = await asyncio.get_running_loop().run_in_executor(self._thread, self._judge.advise, fresh.passages)
        for part in slices:
            part.check()
        self._count_asleep(advice)
        decided = await self._judge.decide_beside(fresh.arrivals, advice)
        for part in slices:
            part.check()
        return decided

    def _count_asleep(self, advice: Advice) -> None:
        for code in range(1, len(STATUS_NAMES)):
            for expert, count in zip(self._roster.ids, (advice.status == code).sum(axis=0).tolist(), strict=True):
                if count:
                    self._metrics.asleep.labels(expert, STATUS_NAMES[code]).inc(count)

    def _write(self, reading: Reading, decided: list[state.Pending]) -> Iterator["asyncio.Future[Any]"]:
        """Queue what a slice causes, and put its turns' decisions beside them."""
        partition = reading.part.partition
        reading.known = [(turn, decided[p] if isinstance(p, int) else p) for turn, p in reading.turns]
        for items in together([(key, state.encode(decided[place]), note) for key, place, note in reading.fresh]):
            yield partition.write(items, atomic=True)
        if reading.letters:
            yield self._letters.send(partition.number, reading.letters)

    async def _publish(self, readings: list[Reading], writes: "list[asyncio.Future[Any]]") -> None:
        await asyncio.gather(*writes)
        sent: list[asyncio.Future[Any]] = []
        for reading in readings:
            reading.part.check()
            if reading.known:
                sent.append(
                    self._producer.append(self._names.verdicts, reading.part.partition.number, self._verdicts(reading))
                )
        await asyncio.gather(*sent)
        await asyncio.gather(*(self._send_early_again(reading) for reading in readings if reading.part.partition.early))

    def _verdicts(self, reading: Reading) -> list[Outgoing]:
        known, mix = reading.known, [0, 0, 0]
        for _, pending in known:
            mix[pending.label] += 1
        self._metrics.latency.observe_all([pending.latency_ms / 1000 for _, pending in known])
        for name, count in zip(CLASSES, mix, strict=True):
            self._metrics.verdicts.labels(name).inc(count)
        lines = verdict_lines(known, self._names.turns)
        return [Outgoing(turn.conversation_id.encode(), line) for (turn, _), line in zip(known, lines, strict=True)]

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
