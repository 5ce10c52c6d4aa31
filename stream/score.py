"""The score agent's work: turns in; pending record, then verdict, then offset out."""

import asyncio
import time
from collections import defaultdict
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from ensemble.policy import CLASSES
from experts.base import Advice, Passage
from experts.executor import Panel
from stream import state
from stream.codecs import Rejected, decode_turn, encode
from stream.dead_letters import DeadLetters
from stream.early import send_again
from stream.metrics import Metrics
from stream.partitions import now_ms
from stream.pipeline import End, Slice
from stream.policies import Policies
from stream.producer import Outgoing, Producer
from stream.records import Turn
from stream.settings import Settings
from stream.topics import TopicNames
from stream.verdicts import Arrival, decide, verdict
from stream.view import MergedView

SMALLEST, LARGEST = 8, 2000
"""Turns scored together, at least and at most: below it a slow expert would be asked turn by turn, above it a batch's
memory grows and its speed does not."""


@dataclass(slots=True)
class Reading:
    """What one slice holds. `known`: (turn, its pending record, or the state key under which it is being decided), in
    offset order."""

    part: Slice
    letters: list[tuple[Any, Rejected]] = field(default_factory=list)
    known: list[tuple[Turn, state.Pending | bytes]] = field(default_factory=list)
    fresh: dict[bytes, Arrival] = field(default_factory=dict)


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
        panel: Panel,
        view: MergedView,
        policies: Policies,
        letters: DeadLetters,
        metrics: Metrics,
        clock: Callable[[], int] = now_ms,
    ) -> None:
        self._settings = settings
        self._names = TopicNames.of(settings)
        self._producer = producer
        self._panel = panel
        self._view = view
        self._policies = policies
        self._letters = letters
        self._metrics = metrics
        self._clock = clock
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="experts")
        self.size = BatchSize(settings.batch_seconds)

    async def begin(self, slices: list[Slice]) -> End:
        """Score what is new and queue its pending records; what is returned publishes."""
        started = time.perf_counter()
        readings = self._read(slices)
        arrivals = [arrival for reading in readings for arrival in reading.fresh.values()]
        decided: dict[int, state.Pending] = {}
        if arrivals:
            passages = [_passage(arrival.turn) for arrival in arrivals]
            advice = await asyncio.get_running_loop().run_in_executor(self._thread, self._panel.advise, passages)
            for part in slices:
                part.check()
            decided = self._decide(arrivals, advice)
        seconds = time.perf_counter() - started
        self.size.took(len(arrivals), seconds)
        self._metrics.batch.observe(seconds)
        pending = iter(decided[row] for row in range(len(arrivals)))
        writes: list[asyncio.Future[Any]] = []
        new: dict[tuple[int, bytes], state.Pending] = {}  # of all slices: a turn can come again in the partition's next
        for reading in readings:
            number = reading.part.partition.number
            records = {key: next(pending) for key in reading.fresh}
            new.update(((number, key), record) for key, record in records.items())
            reading.known = [(turn, new[number, p] if isinstance(p, bytes) else p) for turn, p in reading.known]
            if records:
                writes.append(
                    reading.part.partition.write({key: state.encode(record) for key, record in records.items()})
                )
            if reading.letters:
                writes.append(self._letters.send(reading.part.partition.number, reading.letters))
        return partial(self._publish, readings, writes)

    def _read(self, slices: list[Slice]) -> list[Reading]:
        """Decode, and tell turns that are new from those seen before, in the state or in this very batch."""
        readings, seen = [], dict[tuple[int, bytes], bytes]()
        for part in slices:
            reading = Reading(part)
            for record in part.records:
                turn = decode_turn(record.value, self._settings.max_text_bytes)
                if isinstance(turn, Rejected):
                    reading.letters.append((record, turn))
                else:
                    self._sort(reading, record, turn, seen)
            readings.append(reading)
        return readings

    def _sort(self, reading: Reading, record: Any, turn: Turn, seen: dict[tuple[int, bytes], bytes]) -> None:
        key, digest = state.pending_key(turn.tenant, turn.turn_id), state.digest(turn.role, turn.text)
        number = reading.part.partition.number
        before = seen.get((number, key))
        stored = reading.part.partition.get(key) if before is None else None
        pending = state.decode_pending(stored) if stored is not None else None
        if (before or (pending.digest if pending is not None else digest)) != digest:
            reading.letters.append(
                (
                    record,
                    Rejected(
                        "turn_id_reused",
                        "this turn_id was used before with another role or text: give every turn its own id",
                    ),
                )
            )
        elif pending is not None:
            self._metrics.repeated.inc()
            reading.known.append((turn, pending))
        else:
            if before is None:
                seen[number, key] = digest
                reading.fresh[key] = Arrival(turn, number, record.offset, record.timestamp, digest)
            reading.known.append((turn, key))

    def _decide(self, arrivals: list[Arrival], advice: Advice) -> dict[int, state.Pending]:
        """The pending record of each row of the advice."""
        contexts: dict[str, list[int]] = defaultdict(list)
        for row, arrival in enumerate(arrivals):
            contexts[state.context_of(arrival.turn.tenant, arrival.turn.role)].append(row)
        now, decided = self._clock(), dict[int, state.Pending]()
        for context, rows in contexts.items():
            policy = self._policies.of(context)
            forecaster = self._view.forecaster(context, policy)
            chosen = [arrivals[row] for row in rows]
            decided.update(
                zip(rows, decide(chosen, rows, advice, self._panel.ids, forecaster, policy, now), strict=True)
            )
        return decided

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
        topic, records, latencies, mix = self._names.turns, [], [], [0, 0, 0]
        for turn, pending in reading.known:
            assert isinstance(pending, state.Pending)
            mix[pending.label] += 1
            latencies.append(pending.latency_ms / 1000)
            records.append(Outgoing(turn.conversation_id.encode(), encode(verdict(turn, pending, topic))))
        self._metrics.latency.observe_all(latencies)
        for name, count in zip(CLASSES, mix, strict=True):
            self._metrics.verdicts.labels(name).inc(count)
        return records

    async def _send_early_again(self, reading: Reading) -> None:
        """Labels that came before their turn go to `labels` once more; their records are deleted when the broker has
        them. A crash in between repeats a vote, which changes nothing."""
        partition = reading.part.partition
        keys = dict.fromkeys(key for turn, _ in reading.known for key in partition.early_of(turn.tenant, turn.turn_id))
        found = [(key, state.decode_early(value)) for key in keys if (value := partition.get(key)) is not None]
        await send_again(self._producer, self._names.labels, partition, found)

    def close(self) -> None:
        self._thread.shutdown(wait=False)
        self._panel.close()


def _passage(turn: Turn) -> Passage:
    history = tuple([(u.role, u.text) for u in turn.history]) if turn.history else ()
    return Passage(turn.role, turn.text, history)
