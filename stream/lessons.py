"""What labels, or operators' requests, do to the votes and moments of one partition: one record batch, which the broker
appends whole or not at all."""

import asyncio
from collections import defaultdict
from collections.abc import Collection
from dataclasses import dataclass, field

from ensemble.codec import encode as encode_moments
from stream import state
from stream.asking import class_of
from stream.labels import Change, learn, rows_of
from stream.partitions import Partition
from stream.producer import MAX_BATCH_BYTES, RECORD_OVERHEAD

ROW_BYTES, CONTEXT_BYTES = 2_000, 3_700
"""Of one expert's row of sums in a context, and of all that is no expert's: 4 half-lives, 3 classes, 6 statistics, 7
products and 100 bins of float64, rounded up."""
CONTEXTS_TOGETHER = 16
"""Contexts of one write, at most: each takes about 0.4 ms, a label more of it 0.02 ms, and turns wait meanwhile."""
BYTES_TOGETHER = MAX_BATCH_BYTES * 3 // 4
"""Of one write: sizes are added up before the moments are folded, whose records may grow by an expert's sums
meanwhile."""


@dataclass(slots=True)
class Lesson:
    """Votes that changed and what they teach. Nothing may be awaited between its first look and its write."""

    partition: Partition
    items: dict[bytes, bytes | None] = field(default_factory=dict)
    changes: dict[str, list[Change]] = field(default_factory=lambda: defaultdict(list))
    size: int = 0

    @property
    def is_full(self) -> bool:
        return self.size > BYTES_TOGETHER or len(self.changes) >= CONTEXTS_TOGETHER

    @property
    def contexts(self) -> Collection[str]:
        """Those whose moments change."""
        return self.changes.keys()

    def get(self, key: bytes) -> bytes | None:
        return self.items[key] if key in self.items else self.partition.get(key)

    def put(self, key: bytes, value: bytes) -> None:
        self.items[key] = value
        self.size += len(key) + len(value) + RECORD_OVERHEAD

    def take(self, key: bytes, counted: state.Pending, change: Change | None) -> None:
        """A turn's votes as they are counted now, and what that changes."""
        self.put(key, state.encode(counted))
        if change is None:
            return
        learned_in = class_of(counted)
        if learned_in not in self.changes:
            known = self.partition.moments_of(learned_in).experts
            self.size += CONTEXT_BYTES + ROW_BYTES * len({*known, *rows_of(counted)})
        self.changes[learned_in].append(change)

    def write(self) -> "asyncio.Future[None] | None":
        """Fold what changed into the moments, and write all of it; None when there is nothing."""
        for context, changes in self.changes.items():
            moments = learn(self.partition.moments_of(context), changes)
            self.partition.moments[context] = moments
            self.items[state.moments_key(context)] = encode_moments(moments)
        return self.partition.write(self.items, atomic=True) if self.items else None
