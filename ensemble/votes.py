"""The votes of people on one turn: the newest of each annotator counts, and the order in which they arrive does not.

A vote is a point in the order (time, severity), and an annotator's vote is the largest that was seen: a maximum is
idempotent, commutative and associative, so a label sent twice, read twice or read late changes nothing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import NamedTuple


class Vote(NamedTuple):
    """What one annotator last said of a turn."""

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


def majority(votes: Mapping[str, Vote]) -> int | None:
    """The class with most annotators, the more severe one of a tie; None when nobody voted."""
    counts = Counter(vote.label for vote in votes.values())
    return max(counts, key=lambda label: (counts[label], label), default=None)
