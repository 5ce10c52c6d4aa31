"""A worker that runs while a module's tests send it turns and labels, each test under ids of its own."""

from __future__ import annotations

import asyncio
import os
import uuid
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest

from stream import dead_letters, state, topics_admin
from stream.codecs import encode
from stream.records import Label, LabelName, Turn, Verdict, Weights
from stream.settings import PREFIX, TEST_PREFIX, Settings
from stream.topics import TopicNames
from support.broker import Namespace, delete_namespace
from support.kafka import Record, consume_until, produce
from support.logs import Logs
from support.oracle import Findings, until_sound
from support.worker_process import FAKE, WorkerProcess

_verdict = msgspec.json.Decoder(Verdict)
_weights = msgspec.json.Decoder(Weights)


@dataclass(frozen=True)
class Letter:
    """A dead letter, and why it is one."""

    reason: str
    detail: str
    record: Any


@dataclass(frozen=True)
class Flow:
    """The topics of one namespace, as a client sees them, and the worker behind them."""

    settings: Settings
    names: TopicNames
    worker: WorkerProcess

    async def send(self, topic: str, *records: Record) -> list[Any]:
        """aiokafka's metadata of each, once the broker has it."""
        return await produce(self.settings.broker, topic, records)

    async def turns(self, *turns: Turn) -> list[Any]:
        return await self.send(self.names.turns, *(record_of(turn) for turn in turns))

    async def labels(self, *labels: Label) -> list[Any]:
        return await self.send(self.names.labels, *(record_of(label) for label in labels))

    async def verdicts(self, *turn_ids: str) -> list[Verdict]:
        """The first verdict of each of these turns, in this order, once all are there."""
        found: dict[str, Verdict] = {}

        def complete(records: list[Any]) -> bool:
            for verdict in map(_verdict.decode, (record.value for record in records)):
                found.setdefault(verdict.turn_id, verdict)
            return found.keys() >= set(turn_ids)

        await self.until(self.names.verdicts, complete)
        return [found[turn_id] for turn_id in turn_ids]

    async def letter(self, source: Any) -> Letter:
        """The dead letter of a message, by what `send` returned for it."""
        place = [source.topic.encode(), b"%d" % source.partition, b"%d" % source.offset]

        def mine(record: Any) -> bool:
            headers = dict(record.headers)
            return [headers[n] for n in (dead_letters.TOPIC, dead_letters.PARTITION, dead_letters.OFFSET)] == place

        records = await self.until(self.names.dead_letters, lambda records: any(map(mine, records)))
        record = next(filter(mine, records))
        headers = dict(record.headers)
        return Letter(headers[dead_letters.REASON].decode(), headers[dead_letters.DETAIL].decode(), record)

    async def pending(self, turn_id: str, when: Callable[[state.Pending], bool] = lambda p: True) -> state.Pending:
        """The newest pending record of a turn of the default tenant, once `when` holds for it."""
        return await self._pending(state.pending_key("default", turn_id), when)

    async def pending_of(self, verdict: Verdict, when: Callable[[state.Pending], bool]) -> state.Pending:
        """The newest pending record of the turn of a verdict, once `when` holds for it."""
        return await self._pending(state.pending_key(verdict.tenant, verdict.turn_id), when)

    async def _pending(self, key: bytes, when: Callable[[state.Pending], bool]) -> state.Pending:
        def newest(records: list[Any]) -> state.Pending | None:
            values = [record.value for record in records if record.key == key and record.value is not None]
            return state.decode_pending(values[-1]) if values else None

        def holds(records: list[Any]) -> bool:
            return (pending := newest(records)) is not None and when(pending)

        found = newest(await self.until(self.names.changelog, holds))
        assert found is not None
        return found

    async def weights(self, context: str, when: Callable[[Weights], bool]) -> Weights:
        """What was last published of a context, once `when` holds for it."""

        def newest(records: list[Any]) -> Weights | None:
            values = [record.value for record in records if record.key == context.encode()]
            return _weights.decode(values[-1]) if values else None

        def holds(records: list[Any]) -> bool:
            return (weights := newest(records)) is not None and when(weights)

        found = newest(await self.until(self.names.weights, holds))
        assert found is not None
        return found

    async def until(self, topic: str, predicate: Callable[[list[Any]], bool]) -> list[Any]:
        """A topic's records from its start, once they satisfy; fails at once when the worker ends."""

        def holds(records: list[Any]) -> bool:
            self.worker.assert_running()
            return predicate(records)

        return await consume_until(self.settings.broker, topic, holds)

    async def sound(
        self,
        expected_turn_ids: Iterable[str] = (),
        deadline: float = 60.0,
        also: Callable[[Logs], bool] = lambda logs: True,
    ) -> tuple[Logs, Findings]:
        """As `until_sound`; fails at once when the worker ends."""
        alive = self.worker.assert_running
        return await until_sound(self.settings, expected_turn_ids, deadline, also, alive)


@contextmanager
def made(broker: str, folder: Path, **overrides: Any) -> Iterator[Settings]:
    """Settings whose topics are made, and deleted in the end; no variable of this process's environment has a say."""
    namespace = Namespace.new()
    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.startswith(PREFIX) and not name.startswith(TEST_PREFIX)]:
            patch.delenv(name)
        settings = namespace.settings(broker, **{"partitions": 4, "data_dir": folder / "state", **overrides})
    asyncio.run(topics_admin.create(settings))
    try:
        yield settings
    finally:
        asyncio.run(delete_namespace(broker, namespace))


@contextmanager
def flowing(
    broker: str, folder: Path, command: Sequence[str] = FAKE, environ: dict[str, str] | None = None, **overrides: Any
) -> Iterator[Flow]:
    """A flow whose worker is ready. In the end the oracle must find all that happened sound, and the worker must still
    run, stop when told, and have logged no traceback."""
    with made(broker, folder, **overrides) as settings:
        worker = WorkerProcess(settings, folder / "worker.log", command, **(environ or {}))
        with worker:
            worker.ready()
            flow = Flow(settings, TopicNames.of(settings), worker)
            yield flow
            asyncio.run(flow.sound())


def unique(name: str) -> str:
    """An id that nobody else has."""
    return f"{name}-{uuid.uuid4().hex[:8]}"


def turn(turn_id: str, text: str = "How are you?", **fields: Any) -> Turn:
    """A turn in a conversation of its own, unless `conversation_id` says otherwise."""
    common = {"conversation_id": f"c-{turn_id}", "role": "user", "sent_at": datetime.now(UTC)}
    return Turn(turn_id=turn_id, text=text, **{**common, **fields})


def label(turn_id: str, says: LabelName = "unsafe", annotator: str = "ann", **fields: Any) -> Label:
    """A label for a turn that `turn` made."""
    common = {"conversation_id": f"c-{turn_id}", "labelled_at": datetime.now(UTC)}
    return Label(turn_id=turn_id, label=says, annotator=annotator, **{**common, **fields})


def record_of(message: Turn | Label, **fields: Any) -> Record:
    """As a client sends it: keyed by its conversation."""
    return Record(encode(message), message.conversation_id.encode(), **fields)


def votes_of(pending: state.Pending) -> dict[str, int]:
    """Annotator to class."""
    return {annotator: vote.label for annotator, vote in pending.votes.items()}


def total_votes(changelog: Iterable[Any]) -> int:
    """Votes in all pending records as they stand."""
    newest = {(r.partition, r.key): r.value for r in changelog if r.key[:1] == state.PENDING}
    return sum(len(state.decode_pending(value).votes) for value in newest.values() if value is not None)
