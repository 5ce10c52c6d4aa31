"""The votes of people on one turn: the newest of each annotator counts, and the order in which they arrive does not.

A vote is a point in the order (time, severity), and an annotator's vote is the largest that was seen: a maximum is
idempotent, commutative and associative, so a label sent twice, read twice or read late changes nothing. The few largest
of an annotator are kept, which is as free of order: when the largest is revoked, the one that it had replaced counts.

What poisoned labels can do is bounded by `Limits`, a quorum and a weight for each annotator: both are functions of the
set of votes. A limit on how much rests on one annotator in an hour or of a share is not: which of its votes lie within
depends on the order of arrival, so a label read again after a crash could fall on the other side.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final, NamedTuple

MOST_KEPT: Final = 4
"""Votes kept of one annotator on one turn, the one that counts among them: people correct themselves once or twice."""


class Vote(NamedTuple):
    """What one annotator said of a turn."""

    label: int
    """The class index, which is its severity."""
    at_ms: int
    """Unix milliseconds of the labelling, clamped by the caller so that a wrong clock cannot win for ever."""


def cast(votes: Mapping[str, Vote], annotator: str, label: int, at_ms: int) -> dict[str, Vote] | None:
    """The votes with this one in them, or None when it changes nothing: it is older, or as old and not more severe."""
    known = votes.get(annotator)
    if known is not None and (at_ms, label) <= (known.at_ms, known.label):
        return None
    return {**votes, annotator: Vote(label, at_ms)}


def newest(votes: Iterable[Vote]) -> tuple[Vote, ...]:
    """Those of one annotator that are kept: each once, the largest first."""
    return tuple(sorted(set(votes), key=lambda vote: (vote.at_ms, vote.label), reverse=True)[:MOST_KEPT])


def majority(votes: Mapping[str, Vote]) -> int | None:
    """The class with most annotators, the more severe one of a tie; None when nobody voted."""
    counts = Counter(vote.label for vote in votes.values())
    return max(counts, key=lambda label: (counts[label], label), default=None)


@dataclass(frozen=True, slots=True)
class Limits:
    """How far annotators are trusted. A turn is learned from `quorum` distinct annotators on, by the class whose votes
    weigh most; an annotator that `weights` does not name weighs `others`, and one that weighs nothing is not counted.
    """

    quorum: int = 1
    weights: Mapping[str, float] = field(default_factory=dict)
    others: float = 1.0

    def decide(self, votes: Mapping[str, Vote]) -> int | None:
        """The class to learn, the more severe one of a tie; None while it waits for more."""
        if not self.weights and self.others > 0.0:
            return majority(votes) if len(votes) >= self.quorum else None
        weighed = defaultdict[int, list[float]](list)
        for annotator, vote in votes.items():
            weight = self.weights.get(annotator, self.others)
            if weight > 0.0:
                weighed[vote.label].append(weight)
        if sum(map(len, weighed.values())) < self.quorum:
            return None
        # Sums rounded once: added in the order of arrival, equal weights could miss a tie.
        return max(weighed, key=lambda label: (math.fsum(weighed[label]), label), default=None)
