"""Verdicts and labels as they were published, from lines or topics, one JSON object each.

Of a verdict only what learning needs is read, and unknown fields are ignored: a newer worker may tell more.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any, Final

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

from experts.base import SHADOW, STATUS_NAMES
from stream.codecs import Rejected, decode_label, decoded
from stream.records import Id, Instant, Label, LabelName, Probability

SHADOW_STATUS: Final = STATUS_NAMES[SHADOW]


class Said(Struct, frozen=True, gc=False):
    """What one expert advised; `score` is null when it slept."""

    name: str
    version: str
    score: Probability | None
    status: str

    @property
    def id(self) -> str:
        return f"{self.name}@{self.version}"


class Judged(Struct, frozen=True, gc=False):
    """What a replay reads of a verdict. `ask_probability` is that with which a label was asked for, `ask_label` whether
    it was; null where every turn is."""

    turn_id: Id
    tenant: Id
    context: Id
    score: Probability | None
    experts: tuple[Said, ...]
    scored_at: Instant
    label: LabelName | None = None
    rounds: Annotated[int, Meta(ge=0)] = 0
    ask_label: bool | None = None
    ask_probability: Annotated[float, Meta(gt=0.0, le=1.0)] | None = None


class Marks(Struct, frozen=True, gc=False):
    """By which fields a line is known."""

    experts: msgspec.Raw | UnsetType = UNSET
    annotator: msgspec.Raw | UnsetType = UNSET


@dataclass(frozen=True, slots=True)
class Told:
    """A label, and unix milliseconds of when it was given: never after the broker had it."""

    label: Label
    at_ms: int


@dataclass(slots=True)
class Tape:
    """Verdicts and labels in the order in which they were read."""

    verdicts: list[Judged] = field(default_factory=list)
    labels: list[Told] = field(default_factory=list)

    def line(self, value: bytes) -> Rejected | None:
        """Takes a line of either kind; says why if it is neither."""
        marks = decoded(_marks, value)
        if isinstance(marks, Rejected):
            return marks
        if marks.annotator is not UNSET:
            return self.label(value)
        if marks.experts is not UNSET:
            return self.verdict(value)
        return Rejected("missing_field", "neither a verdict (no `experts`) nor a label (no `annotator`)")

    def verdict(self, value: bytes | None) -> Rejected | None:
        """Takes a value of `verdicts.v1`; says why if it is none."""
        judged = decoded(_verdicts, value)
        if isinstance(judged, Rejected):
            return judged
        if len({said.id for said in judged.experts}) < len(judged.experts):
            return Rejected("out_of_range", "an expert is named twice in `experts`")
        if judged.score is not None and not any(votes(said) for said in judged.experts):
            return Rejected("out_of_range", "there is a `score`, but no expert with status ok has one")
        self.verdicts.append(judged)
        return None

    def label(self, value: bytes | None, key: bytes | None = None, stamp_ms: int | None = None) -> Rejected | None:
        """Takes a value of `labels.v1` that the broker had at `stamp_ms`; says why if it is none."""
        label = decode_label(value, key)
        if isinstance(label, Rejected):
            return label
        at_ms = int(label.labelled_at.timestamp() * 1000)
        self.labels.append(Told(label, at_ms if stamp_ms is None else min(at_ms, stamp_ms)))
        return None


def votes(said: Said) -> bool:
    """Whether an expert gave advice that counts."""
    return said.score is not None and said.status == "ok"


def from_records(
    records: Sequence[Any], take: Callable[[Any], Rejected | None], refuse: Callable[[Any, Rejected], None]
) -> None:
    """Takes aiokafka's ConsumerRecords in the order of partition and offset, in whatever order they were fetched."""
    for record in sorted(records, key=lambda record: (record.partition, record.offset)):
        if problem := take(record):
            refuse(record, problem)


_verdicts = msgspec.json.Decoder(Judged)
_marks = msgspec.json.Decoder(Marks)
