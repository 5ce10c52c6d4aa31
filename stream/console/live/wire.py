"""Of the records, only what the page shows: decoding the rest of a thousand verdicts a second would cost a core more.

Names and types are those of `stream.records`, which says what the fields mean."""

from __future__ import annotations

from typing import Final

import msgspec
from msgspec import Struct

from stream.records import LabelName, Weights


class SeenOpinion(Struct, frozen=True, gc=False):
    """What one expert had to say."""

    name: str
    version: str
    weight: float
    status: str


class SeenVerdict(Struct, frozen=True, gc=False):
    """A decision, without the turn's metadata and categories."""

    turn_id: str
    context: str
    policy: str
    label: LabelName
    score: float | None
    experts: tuple[SeenOpinion, ...]
    latency_ms: int
    ask_label: bool = True
    ask_probability: float = 1.0


class SeenLabel(Struct, frozen=True, gc=False):
    """What a person said, without who."""

    turn_id: str
    label: LabelName


verdicts: Final = msgspec.json.Decoder(SeenVerdict)
labels: Final = msgspec.json.Decoder(SeenLabel)
weights: Final = msgspec.json.Decoder(Weights)
