"""Counts all votes of a partition anew: when an operator revokes some or takes that back, and when a policy trusts
annotators otherwise.

What each turn taught is stored with its votes, so the old round is taken back exactly and the new one added, in the
same record batches as labels are learned in. In whatever order labels, revocations and crashes come, the moments are in
the end those of the votes that count: the learner counts by the newest rules from when they are read, and this brings
in line what was counted before. It reaches turns that are pending, within the label horizon; what older ones taught is
in the sums for good."""

import asyncio
from collections import Counter
from collections.abc import Callable, Mapping

from stream import state
from stream.counting import Countings
from stream.labels import annotators_of, recount, said_by
from stream.lessons import Lesson
from stream.partitions import Partition
from stream.records import Revocation
from stream.requests import Asked, milliseconds

TOGETHER = 200
"""Records looked at before the loop gets its turn (about 1 ms, or 5 where all of them change)."""


class Recount:
    """One partition's. `touched`: the contexts whose moments changed; `revoked`: votes set aside, by the key of their
    revocation."""

    def __init__(self, partition: Partition, countings: Countings, is_ours: Callable[[], bool]) -> None:
        self._partition = partition
        self._countings = countings
        self._is_ours = is_ours
        self.turns = 0
        self.touched = set[str]()
        self.revoked = Counter[bytes]()

    async def run(self) -> bool:
        """False when the partition was given back meanwhile: its next owner counts again."""
        spans = _spans(self._countings.requests.revocations)
        keys = list[bytes]()
        for seen, (key, value) in enumerate(self._partition.store.scan(state.PENDING), 1):
            pending = state.decode_pending(value)
            if pending.votes or pending.beside:
                self._note(pending, spans)
                if recount(pending, self._countings.of(pending.context)) is not None:
                    keys.append(key)
            if seen % TOGETHER == 0:
                await self._change(keys)
                keys = []
                if not self._is_ours():
                    return False
        await self._change(keys)
        return self._is_ours()

    def _note(self, pending: state.Pending, spans: Mapping[str, list[tuple[bytes, str | None, int, int]]]) -> None:
        tenant = state.tenant_of(pending.context)
        for annotator in spans.keys() & set(annotators_of(pending)) if spans else ():
            for key, only, since, until in spans[annotator]:
                if only is None or only == tenant:
                    self.revoked[key] += sum(since <= vote.at_ms <= until for vote in said_by(pending, annotator))

    async def _change(self, keys: list[bytes]) -> None:
        """Count these turns as they stand now: the store lags behind what is written."""
        lesson, writes = Lesson(self._partition), list[asyncio.Future[None]]()
        for key in keys if self._is_ours() else ():
            stored = self._partition.get(key)
            pending = state.decode_pending(stored) if stored is not None else None
            counted = recount(pending, self._countings.of(pending.context)) if pending is not None else None
            if counted is not None:
                self.turns += 1
                lesson.take(key, *counted)
            if lesson.is_full:
                self._write(lesson, writes)
                lesson = Lesson(self._partition)
        self._write(lesson, writes)
        await asyncio.gather(*writes, asyncio.sleep(0))

    def _write(self, lesson: Lesson, writes: "list[asyncio.Future[None]]") -> None:
        if (write := lesson.write()) is not None:
            writes.append(write)
            self.touched.update(lesson.contexts)


def _spans(revocations: Mapping[bytes, Asked[Revocation]]) -> dict[str, list[tuple[bytes, str | None, int, int]]]:
    found: dict[str, list[tuple[bytes, str | None, int, int]]] = {}
    for key, asked in revocations.items():
        one = asked.request
        if one.undone:
            continue
        span = key, one.tenant, milliseconds(one.since), milliseconds(one.until)
        found.setdefault(one.annotator, []).append(span)
    return found
