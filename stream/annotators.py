"""What each annotator said of the turns that are pending, and how often the others agree: told from the changelog.

Nothing is counted while labels are learned, and no annotator's name is kept for longer than its votes: the figures are
of exactly those turns whose labels can still be revoked, however many annotators there are."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import msgspec

from ensemble.votes import Vote
from stream import state
from stream.following import existing
from stream.settings import Settings
from stream.topics import TopicNames

Z95 = 1.959964
_encoder = msgspec.msgpack.Encoder()
_turns = msgspec.msgpack.Decoder(tuple[str, dict[str, Vote], dict[str, int]])


@dataclass(slots=True)
class Tally:
    """One annotator's in a tenant. `votes`: turns on which it counts; `alone`: those on which nobody else does;
    `agreed`: those with others whose majority says the same; `aside`: votes kept beside, replaced or revoked."""

    votes: int = 0
    alone: int = 0
    agreed: int = 0
    aside: int = 0

    @property
    def shared(self) -> int:
        return self.votes - self.alone

    @property
    def agreement(self) -> tuple[float, float, float] | None:
        """The share of turns with others on which they agree, and its 95 % interval (Wilson's); None without any."""
        return wilson(self.agreed, self.shared) if self.shared else None


def wilson(hits: int, trials: int) -> tuple[float, float, float]:
    """A share, and the bounds of its 95 % interval: it does not shrink to nothing where all agree."""
    share, square = hits / trials, Z95**2 / trials
    middle, half = share + square / 2, Z95 * math.sqrt(share * (1 - share) / trials + square / trials / 4)
    return share, max(0.0, (middle - half) / (1 + square)), min(1.0, (middle + half) / (1 + square))


class Tallies:
    """Of (tenant, annotator), over turns that are told one by one."""

    def __init__(self) -> None:
        self.by_annotator: dict[tuple[str, str], Tally] = defaultdict(Tally)
        self.by_tenant = Counter[str]()
        """Votes that count."""

    def add(self, tenant: str, votes: Mapping[str, Vote], aside: Mapping[str, int]) -> None:
        """One turn: the votes that count, and how many each annotator has beside."""
        self.by_tenant[tenant] += len(votes)
        said = Counter(vote.label for vote in votes.values())
        for annotator, vote in votes.items():
            tally = self.by_annotator[tenant, annotator]
            tally.votes += 1
            if len(votes) == 1:
                tally.alone += 1
                continue
            others = {label: count - (label == vote.label) for label, count in said.items()}
            tally.agreed += max(others, key=lambda label: (others[label], label)) == vote.label
        for annotator, count in aside.items():
            self.by_annotator[tenant, annotator].aside += count

    def rows(self, tenant: str | None = None) -> list[tuple[str, str, float, Tally]]:
        """(tenant, annotator, share of the tenant's votes, tally), those with most votes first."""
        rows = [
            (each, annotator, tally.votes / max(1, self.by_tenant[each]), tally)
            for (each, annotator), tally in self.by_annotator.items()
            if tenant in (None, each)
        ]
        return sorted(rows, key=lambda row: (-row[3].votes, -row[3].aside, row[0], row[1]))


async def tallies(settings: Settings, advance: Callable[[int], None]) -> Tallies:
    """Reads the changelog up to where it ends now; `advance` is told of records.

    Of each labelled turn some 100 bytes are held meanwhile. Raises TopicsError, BrokerError or StateError, one line."""
    newest: dict[tuple[int, bytes], bytes] = {}
    async for records in existing(settings, TopicNames.of(settings).changelog):
        for record in records:
            if record.key is None or not record.key.startswith(state.PENDING):
                continue
            place = record.partition, record.key
            pending = state.decode_pending(record.value) if record.value is not None else None
            if pending is not None and (pending.votes or pending.beside):
                aside = {name: len(votes) for name, votes in pending.beside.items()}
                newest[place] = _encoder.encode((state.tenant_of(pending.context), pending.votes, aside))
            else:
                newest.pop(place, None)
        advance(len(records))
    found = Tallies()
    for tenant, votes, aside in _decoded(newest):
        found.add(tenant, votes, aside)
    return found


def _decoded(newest: Mapping[tuple[int, bytes], bytes]) -> Iterator[tuple[str, dict[str, Vote], dict[str, int]]]:
    return map(_turns.decode, newest.values())
