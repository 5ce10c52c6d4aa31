"""The learn path where each label is of another context: read, fold, encode, write, over a store on disk."""

from __future__ import annotations

import asyncio
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

from benchmarks.tenants.made import EXPERTS, LEAST, START, MadePart, rounds
from benchmarks.tenants.measuring import watched
from benchmarks.tenants.results import Learning
from ensemble import HALF_LIVES, encode, fold, zero
from stream import state
from stream.codecs import encode as encode_json
from stream.counting import Countings
from stream.errors import StreamError
from stream.intake import Intake
from stream.learn import LABELS_TOGETHER, Learner
from stream.metrics import Metrics
from stream.partitions import Partition
from stream.pipeline import Slice
from stream.policies import Policies
from stream.producer import Outgoing, Written
from stream.records import Label
from stream.settings import Settings
from stream.stores import Stores
from stream.view import MergedView

SLICES = 4
"""Of LABELS_TOGETHER labels each."""


class Log:
    """A changelog that has everything at once, and counts its bytes."""

    def __init__(self) -> None:
        self.end, self.bytes = 0, 0

    def append(
        self, topic: str, partition: int, records: list[Outgoing], *how: bool, **named: bool
    ) -> asyncio.Future[list[Written]]:
        answer: asyncio.Future[list[Written]] = asyncio.get_running_loop().create_future()
        asyncio.get_running_loop().call_soon(answer.set_result, [Written(self.end, len(records))])
        self.end += len(records)
        self.bytes += sum(len(record.key or b"") + len(record.value or b"") for record in records)
        return answer

    def touch(self, partition: Partition, contexts: set[str]) -> None:
        """Nothing is published here."""


async def learning() -> Learning:
    """Of contexts that have learned LEAST labels before."""
    count = SLICES * LABELS_TOGETHER
    with tempfile.TemporaryDirectory(prefix="aegis-bench-") as folder:
        settings, log = Settings(store="rocksdict", data_dir=Path(folder)), Log()
        store = Stores("rocksdict", Path(folder), "bench", "changelog").open(0)
        store.apply(_state(count), 0)
        wired: Any = log
        partition = Partition(0, "changelog", store, wired, _end)
        partition.generation, partition.next_offset, log.end = 1, 1, 1
        countings = Countings(Policies(settings))
        learner = Learner(
            settings, wired, MergedView(settings), wired, wired, Metrics(), countings, lambda: int(START * 1000)
        )
        records: list[Any] = [_label(number) for number in range(count)]
        spent, intake = 0.0, Intake.at(1, 0)
        async with watched() as blocked:
            for start in range(0, count, LABELS_TOGETHER):
                began = time.process_time()
                end = await learner.begin([Slice(partition, 1, intake, records[start : start + LABELS_TOGETHER])])
                await end()
                spent += time.process_time() - began
                await asyncio.sleep(0.005)
        partition.close()
    return Learning(count, spent / count * 1e6, log.bytes / count, blocked.longest_ms)


def _end(error: StreamError) -> None:
    raise error


def _context(number: int) -> str:
    return f"tenant-{number:05}/user"


def _state(count: int) -> list[tuple[bytes, bytes | None]]:
    """A turn that waits for its label in each context, and what the context has learned."""
    chance = np.random.default_rng(0)
    items: list[tuple[bytes, bytes | None]] = []
    for number in range(count):
        context, scores = _context(number), chance.random(len(EXPERTS))
        moments = MadePart(context, 0, fold(zero(EXPERTS), rounds(chance, LEAST))).moments
        pending = state.Pending(
            state.SCHEMA_VERSION, int(START * 1000), b"d" * 16, 0, number, 1, context, "permissive", 0, EXPERTS,
            scores.astype("<f4").tobytes(), bytes(len(EXPERTS)), np.full(len(EXPERTS), 1 / 6, "<f4").tobytes(),
            np.full(len(HALF_LIVES), scores.mean()).astype("<f8").tobytes(), float(scores.mean()), LEAST, float(LEAST),
            {}, 1.0, {},
        )  # fmt: skip
        tenant = state.tenant_of(context)
        items.append((state.moments_key(context), encode(moments)))
        items.append((state.pending_key(tenant, f"turn-{number}"), state.encode(pending)))
    return items


def _label(number: int) -> SimpleNamespace:
    said = Label(
        f"turn-{number}", f"c{number}", "unsafe", "ann", datetime.fromtimestamp(START, UTC),
        tenant=state.tenant_of(_context(number)),
    )  # fmt: skip
    return SimpleNamespace(
        value=encode_json(said), key=b"k", headers=(), timestamp=int(START * 1000), offset=number, partition=0
    )
