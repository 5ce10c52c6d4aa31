"""Who gets which turn next: a bounded queue of candidates, with leases so that two people do not label the same turn
unless that is wanted. Pure: times are given, in ms.

The order decides what is learned. Weights undo with which probability a turn was *asked for*, not which of those asked
for were *answered*: where more is asked than people can label, taking the doubtful ones first leaves out the others
without anybody's knowing with which probability. So `oldest` and `newest` go by time, which nothing that was said
decides, and `doubtful` is for those who would rather find errors than measure."""

from __future__ import annotations

from bisect import insort
from collections import OrderedDict, defaultdict
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Final, Literal, NamedTuple

from stream.console.review.candidates import Candidate

Order = Literal["oldest", "newest", "doubtful"]
LEVELS: Final = 10
"""Of doubt, by which `doubtful` sorts: within one, the oldest first."""
MINUTE_MS: Final = 60_000
_SCALE: Final = 2.0**32


class Lease(NamedTuple):
    """A turn that is shown to somebody, until when (ms)."""

    candidate: Candidate
    until_ms: int


@dataclass(slots=True)
class Counts:
    """What left the queue without a label. `dropped`: it was full, and they were the oldest; `expired`: their labels
    would not be learned any more; `gone`: their text is not in the topic any more, or must not be shown."""

    dropped: int = 0
    expired: int = 0
    gone: int = 0


@dataclass(frozen=True, slots=True)
class Wanted:
    """How many annotators a turn gets: `annotators`, and of a share of `overlap` of the turns one more, so that their
    agreement can be measured. Which ones is drawn from the key: the same after every restart."""

    annotators: Callable[[Candidate], int] = lambda candidate: 1
    overlap: float = 0.0

    def of(self, candidate: Candidate) -> int:
        """For one turn."""
        few = self.annotators(candidate)
        if not self.overlap:
            return few
        drawn = int.from_bytes(blake2b(candidate.key, digest_size=4, person=b"aegis-overlap").digest())
        return few + (drawn / _SCALE < self.overlap)


@dataclass(slots=True)
class Queue:
    """At most `most` candidates. `said` tells who has labelled a turn; `horizon_ms` how long after its verdict a label
    is learned; `lease_ms` for how long a turn is shown to one annotator alone."""

    most: int
    said: Callable[[bytes], Collection[str]]
    wanted: Wanted = field(default_factory=Wanted)
    order: Order = "oldest"
    horizon_ms: int = 7 * 86_400_000
    lease_ms: int = 600_000
    counts: Counts = field(default_factory=Counts)
    _waiting: dict[bytes, Candidate] = field(default_factory=dict)
    _ranks: list[int] = field(default_factory=list)
    """Those of `_ranked`, sorted."""
    _ranked: dict[int, OrderedDict[bytes, Candidate]] = field(default_factory=dict)
    _leases: dict[str, Lease] = field(default_factory=dict)
    _holders: dict[bytes, set[str]] = field(default_factory=lambda: defaultdict(set))

    def __len__(self) -> int:
        return len(self._waiting)

    def __contains__(self, key: bytes) -> bool:
        return key in self._waiting

    def find(self, key: bytes) -> Candidate | None:
        """A turn that still waits for a label."""
        return self._waiting.get(key)

    def add(self, candidate: Candidate) -> None:
        """Take a turn in, unless it is here or has all its labels; the oldest goes when there is no room."""
        if candidate.key in self or len(self.said(candidate.key)) >= self.wanted.of(candidate):
            return
        if len(self) >= self.most:
            oldest = self.oldest()
            assert oldest is not None, "a queue of at least one that is full has an oldest"
            self.remove(oldest.key)
            self.counts.dropped += 1
        rank = self._rank(candidate)
        if rank not in self._ranked:
            self._ranked[rank] = OrderedDict()
            insort(self._ranks, rank)
        self._waiting[candidate.key] = self._ranked[rank][candidate.key] = candidate

    def labelled(self, key: bytes) -> None:
        """Somebody has labelled a turn: it leaves when it has as many labels as it wants."""
        candidate = self.find(key)
        if candidate is not None and len(self.said(key)) >= self.wanted.of(candidate):
            self.remove(key)

    def lose(self, candidate: Candidate) -> None:
        """Its text cannot be shown."""
        for holder in tuple(self._holders.get(candidate.key, ())):
            self.release(holder)
        if self.remove(candidate.key):
            self.counts.gone += 1

    def clear(self) -> None:
        """Forget the turns, so that they can be read again; those that are being shown stay with whom they are."""
        self._waiting.clear()
        self._ranks.clear()
        self._ranked.clear()

    def remove(self, key: bytes) -> bool:
        """Whether it was here. Whoever is looking at it keeps it: their label is welcome, too."""
        candidate = self._waiting.pop(key, None)
        if candidate is None:
            return False
        rank = self._rank(candidate)
        del self._ranked[rank][key]
        if not self._ranked[rank]:
            del self._ranked[rank]
            self._ranks.remove(rank)
        return True

    def take(
        self, annotator: str, now_ms: int, tenant: str | None = None, passed: Collection[bytes] = ()
    ) -> Lease | None:
        """The turn that is this annotator's now: the one it has, else the next, which is its own for a while. None when
        none waits for this annotator. `tenant`: of this one only; `passed`: turns not to be given."""
        held = self.held(annotator, now_ms)
        if held is not None:
            return held
        expired = []
        for candidate in self._in_order():
            if candidate.judged_at_ms + self.horizon_ms <= now_ms:
                expired.append(candidate.key)
            elif (
                tenant in (None, candidate.tenant)
                and candidate.key not in passed
                and self._is_open(candidate, annotator, now_ms)
            ):
                held = self._leases[annotator] = Lease(candidate, now_ms + self.lease_ms)
                self._holders[candidate.key].add(annotator)
                break
        for key in expired:
            self.counts.expired += self.remove(key)
        return held

    def held(self, annotator: str, now_ms: int) -> Lease | None:
        """The turn that this annotator has now."""
        lease = self._leases.get(annotator)
        if lease is not None and lease.until_ms <= now_ms:
            self.release(annotator)
            return None
        return lease

    def release(self, annotator: str) -> None:
        """Give back what this annotator has, if anything."""
        lease = self._leases.pop(annotator, None)
        if lease is not None:
            holders = self._holders[lease.candidate.key]
            holders.discard(annotator)
            if not holders:
                del self._holders[lease.candidate.key]

    def oldest(self) -> Candidate | None:
        """The turn that has waited longest."""
        ranks = self._ranks if self.order == "doubtful" else self._ranks[:1]
        first = [next(iter(self._ranked[rank].values())) for rank in ranks]
        return min(first, key=lambda candidate: candidate.judged_at_ms, default=None)

    def waiting(self, tenant: str | None = None) -> int:
        """How many turns wait, of one tenant or of all."""
        if tenant is None:
            return len(self)
        return sum(candidate.tenant == tenant for candidate in self._waiting.values())

    def _in_order(self) -> Iterator[Candidate]:
        for rank in self._ranks if self.order == "oldest" else reversed(self._ranks):
            candidates = self._ranked[rank].values()
            yield from reversed(candidates) if self.order == "newest" else candidates

    def _is_open(self, candidate: Candidate, annotator: str, now_ms: int) -> bool:
        said = self.said(candidate.key)
        if annotator in said:
            return False
        holders = [other for other in tuple(self._holders.get(candidate.key, ())) if self.held(other, now_ms)]
        return len(said) + len(holders) < self.wanted.of(candidate)

    def _rank(self, candidate: Candidate) -> int:
        """Partitions are not read in step, so the minute of the verdict counts, not when it was read."""
        if self.order == "doubtful":
            return min(int(candidate.doubt * LEVELS), LEVELS - 1)
        return candidate.judged_at_ms // MINUTE_MS
