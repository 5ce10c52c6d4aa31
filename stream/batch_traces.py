"""What a batch of turns knows of their traces: who belongs to which, and when its steps ended. Without a header on any
turn it is a few empty lists."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Final, Literal, NamedTuple

from stream.producer import Written
from stream.trace_context import TraceContext

MOST_EXEMPLARS: Final = 4
"""Of one slice: each costs a microsecond, and a bucket keeps one."""
Outcome = Literal["judged", "repeated", "rejected"]


@dataclass(slots=True)
class Times:
    """When the steps of a batch ended, in ns since 1970. `asked`: about how many turns experts were asked, and of each
    of `experts` the seconds that it took."""

    begun: int
    decoded: int = 0
    advised: int = 0
    decided: int = 0
    written: int = 0
    sent: int = 0
    asked: int = 0
    experts: dict[str, float] = field(default_factory=dict)


class Heard(NamedTuple):
    """A record of a slice that came with a trace context. `place`: where it stands among the slice's turns, or among
    its dead letters if it was rejected."""

    context: TraceContext
    offset: int
    outcome: Outcome
    place: int


class Told(NamedTuple):
    """What spans tell of one turn. `partition` and `offset` are its record's; `sent`: the offset of its verdict, None
    of a dead letter; `about`: what was decided, or why it is a dead letter."""

    context: TraceContext
    partition: int
    offset: int
    outcome: Outcome
    sent: int | None
    about: Mapping[str, str]


def carried(heard: Sequence[Heard]) -> dict[int, list[tuple[str, bytes]]]:
    """The headers that verdicts go on with, by the place of their turns."""
    return {each.place: each.context.carried for each in heard if each.outcome != "rejected"}


def exemplars(heard: Sequence[Heard]) -> dict[int, str]:
    """Trace ids of a few sampled turns by their places."""
    sampled = (each for each in heard if each.context.is_sampled and each.outcome != "rejected")
    return {each.place: each.context.trace_id for each in islice(sampled, MOST_EXEMPLARS)}


def offset_of(written: Sequence[Written], place: int) -> int:
    """Of the record at this place of those that were appended together."""
    for base, records in written:
        if place < records:
            return base + place
        place -= records
    raise IndexError("more places than records were written")
