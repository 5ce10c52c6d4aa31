"""Bringing stores up to their changelogs: what is missing is read, applied and counted, or refused.

Refused are a changelog from which records are gone that the store does not have, since what was learned would be lost
without a word, and records of a schema that this version does not know."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import structlog
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from stream import state
from stream.errors import ChangelogCutError, StateError, WriteError
from stream.losses import accepted
from stream.partitions import apply_changelog
from stream.reading import read_until, reader
from stream.settings import Settings
from stream.stores import PartitionStore
from stream.topics_admin import connected

log = structlog.get_logger()

PROGRESS_SECONDS = 5.0
"""Between two progress lines of a recovery."""

Spans = Mapping[int, tuple[int, int]]
"""Of each partition the first offset that its store lacks, and the offset to stop before."""


@dataclass
class Progress:
    """How far a recovery is. It is counted in offsets, since how many records compaction has left shows only at the
    end; `rate` is of offsets a second."""

    total: int
    started: float
    now: Callable[[], float]
    done: int = 0
    records: int = 0
    _stood: dict[int, int] = field(default_factory=dict)

    @classmethod
    def of(cls, spans: Spans, now: Callable[[], float]) -> "Progress":
        stood = {number: start for number, (start, _) in spans.items()}
        return cls(sum(end - start for start, end in spans.values()), now(), now, _stood=stood)

    @property
    def left(self) -> int:
        return self.total - self.done

    def applied(self, number: int, records: int, last: int) -> None:
        """`records` of a partition were applied, the last of them at offset `last`."""
        self.done += last + 1 - self._stood[number]
        self._stood[number] = last + 1
        self.records += records

    def told(self) -> dict[str, Any]:
        """For a log line."""
        rate = self.done / max(self.now() - self.started, 1e-3)
        return {
            "records": self.done,
            "of": self.total,
            "percent": round(100 * self.done / max(self.total, 1), 1),
            "rate": round(rate),
            "seconds_left": round(self.left / rate, 1) if rate else None,
        }

    def __str__(self) -> str:
        told = self.told()
        left = f", {told['seconds_left']:.0f} s left" if told["seconds_left"] is not None else ""
        return f"recovering: {self.done:,} of {self.total:,} changelog records ({told['percent']:g} %){left}"


class Recovery:
    """Reads changelogs into stores, with a consumer of its own. `progress` is None while nothing is read."""

    def __init__(self, settings: Settings, changelog: str) -> None:
        self._settings = settings
        self._changelog = changelog
        self.progress: Progress | None = None
        self.records = 0
        self.seconds = 0.0
        """That the last one took until all was read and indexed."""

    async def run(self, stores: Mapping[int, PartitionStore], spans: Spans, overtaken: Callable[[], bool]) -> int:
        """Apply the records of these spans; returns how many there were. Ends early once `overtaken`.

        Raises WriteError when nothing can be read, ChangelogCutError and StateError as the module says."""
        self.progress = progress = Progress.of(spans, asyncio.get_running_loop().time)
        try:
            if spans:
                await self._read(stores, spans, progress, overtaken)
        except TimeoutError as error:
            stall = f"{self._settings.write_timeout:g} s"
            raise WriteError(f"recovery of {self._changelog} read nothing for {stall}: is it online?") from error
        except KafkaError as error:
            raise WriteError(f"recovery of {self._changelog} could not read it ({error!r}): is it online?") from error
        finally:
            if self.progress is progress:  # no newer one has begun
                self.progress = None
            self.records += progress.records
        return progress.records

    async def _read(
        self,
        stores: Mapping[int, PartitionStore],
        spans: Spans,
        progress: Progress,
        overtaken: Callable[[], bool],
    ) -> None:
        settings, told = self._settings, progress.now()
        owners: dict[int, str | None] = {}
        async with reader(settings, reset="none") as consumer:
            async with asyncio.timeout(settings.write_timeout):
                spans = await self._uncut(consumer, spans)
            async for number, records in read_until(consumer, self._changelog, spans, settings.write_timeout):
                if overtaken():
                    return
                owners[number] = apply_known(stores[number], records, owners.get(number))
                progress.applied(number, len(records), records[-1].offset)
                if progress.now() - told > PROGRESS_SECONDS:
                    told = progress.now()
                    log.info("recovery_progress", **progress.told())

    async def _uncut(self, consumer: AIOKafkaConsumer, spans: Spans) -> Spans:
        """The spans, from the first record that is there; raises ChangelogCutError if records are gone for good and
        nobody has accepted that."""
        tps = {number: TopicPartition(self._changelog, number) for number in spans}
        begins = await consumer.beginning_offsets(list(tps.values()))
        cut = {number: begins[tp] for number, tp in tps.items() if begins[tp] > spans[number][0]}
        if not cut:
            return spans
        async with connected(self._settings) as admin:
            allowed = await accepted(admin, self._settings)
        for number, begin in cut.items():
            if allowed.get(number, 0) < begin:
                has = spans[number][0] - 1
                where = f"{self._changelog}[{number}]"
                raise ChangelogCutError(
                    f"{where} begins at offset {begin}, and the state here ends at {has}: what stood"
                    " in between is gone, turns that wait for labels and weights that were learned: start with an"
                    " AEGIS_DATA_DIR that has them, or go on without them by `aegis state accept-loss`"
                )
            log.warning("changelog_cut", partition=number, begins=begin, remedy="the loss was accepted")
        return {number: (max(start, cut.get(number, 0)), end) for number, (start, end) in spans.items()}


def apply_known(store: PartitionStore, records: Sequence[Any], owner: str | None = None) -> str | None:
    """As `apply_changelog`; `owner` is the version of the application that claimed the partition before these records,
    and the one that did in them is returned.

    Raises StateError for a record that another version wrote, before any of them is applied."""
    for record in records:
        if record.key == state.CLAIM:
            owner = state.claimed_by(record.value) or owner
        elif record.value is not None:
            try:
                state.refuse_unknown(record.key, record.value)
            except StateError as error:
                which = f": aegis-stream {owner}" if owner else ""
                raise StateError(f"{record.topic}[{record.partition}]: {error}{which}") from error
    apply_changelog(store, records)
    return owner
