"""Who has said what of which turn, bounded: for the queue, for agreement, and for the day's counts. Pure."""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from sys import intern
from typing import Final

from ensemble.policy import CLASSES
from ensemble.votes import Vote, cast
from stream.console.review.candidates import key_of
from stream.records import Label
from stream.requests import milliseconds

MOST_TURNS: Final = 200_000
"""Labelled turns that are remembered, some 400 bytes each. One that is forgotten, the longest unlabelled, could be
shown again if its verdict were read again, after a restart."""
MOST_MINUTES: Final = 2 * 24 * 60
"""Of one annotator's pace."""
MOST_ANNOTATORS: Final = 10_000
"""Whose pace is known."""
PAUSE_MINUTES: Final = 5
"""Without a label: a pause, which does not count as time at work."""


@dataclass(frozen=True, slots=True)
class Pace:
    """An annotator's turns since a time, the minutes in which it worked, and turns an hour of those (None: too few
    minutes to say)."""

    turns: int
    minutes: int
    hourly: float | None


@dataclass(slots=True)
class Ledger:
    """The newest vote of each annotator on each turn. `forgotten`: turns that had to make room."""

    most: int = MOST_TURNS
    forgotten: int = 0
    _turns: OrderedDict[bytes, dict[str, Vote]] = field(default_factory=OrderedDict)
    _minutes: OrderedDict[str, Counter[int]] = field(default_factory=OrderedDict)

    def add(self, label: Label, timestamp_ms: int) -> bytes:
        """Take a label in, whose time is clamped to its record's, and return the key of its turn. One that was read
        before, or is older than what the annotator has said since, changes nothing."""
        key = key_of(label.tenant, label.turn_id)
        at_ms = min(milliseconds(label.labelled_at), timestamp_ms)
        said = self._turns.get(key, {})
        votes = cast(said, intern(label.annotator), CLASSES.index(label.label), at_ms)
        if votes is None:
            return key
        if label.annotator not in said:
            self._note(label.annotator, at_ms)
        self._turns[key] = votes
        self._turns.move_to_end(key)
        if len(self._turns) > self.most:
            self._turns.popitem(last=False)
            self.forgotten += 1
        return key

    def clear(self) -> None:
        """Forget everything, so that it can be read again."""
        self._turns.clear()
        self._minutes.clear()

    def said(self, key: bytes) -> Collection[str]:
        """Who has labelled a turn."""
        return self._turns.get(key, {}).keys()

    def vote(self, key: bytes, annotator: str) -> Vote | None:
        """What one annotator says of a turn."""
        return self._turns.get(key, {}).get(annotator)

    def shared(self) -> Iterator[Mapping[str, Vote]]:
        """The votes on turns that several people labelled."""
        return (votes for votes in self._turns.values() if len(votes) > 1)

    def turns(self) -> int:
        """How many are remembered."""
        return len(self._turns)

    def paces(self, since_ms: int) -> dict[str, Pace]:
        """Of everyone who labelled since then, those with most turns first."""
        found = {annotator: pace_of(minutes, since_ms) for annotator, minutes in self._minutes.items()}
        return dict(sorted(((a, p) for a, p in found.items() if p.turns), key=lambda item: (-item[1].turns, item[0])))

    def pace(self, annotator: str, since_ms: int) -> Pace:
        """Of one annotator."""
        return pace_of(self._minutes.get(annotator, Counter()), since_ms)

    def _note(self, annotator: str, at_ms: int) -> None:
        minutes = self._minutes.setdefault(annotator, Counter())
        minutes[at_ms // 60_000] += 1
        if len(minutes) > MOST_MINUTES:
            del minutes[min(minutes)]
        self._minutes.move_to_end(annotator)
        if len(self._minutes) > MOST_ANNOTATORS:
            self._minutes.popitem(last=False)


def pace_of(minutes: Mapping[int, int], since_ms: int) -> Pace:
    """From labels by minute (since 1970). A minute at work is one with a label, or one of fewer than PAUSE_MINUTES
    between two such."""
    worked = sorted(minute for minute in minutes if minute * 60_000 >= since_ms)
    turns = sum(minutes[minute] for minute in worked)
    gaps = [after - before for before, after in pairwise(worked)]
    spent = (1 if worked else 0) + sum(gap if gap <= PAUSE_MINUTES else 1 for gap in gaps)
    return Pace(turns, spent, 60.0 * turns / spent if spent >= PAUSE_MINUTES else None)
