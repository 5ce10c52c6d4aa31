"""What `aegis explain` found, as `--json` writes it and the console shows it. A value is null where it is not known or
not defined; `notes` say why. Fields are added, never renamed, while `form` is 1."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from msgspec import Struct

from stream.records import LabelName, Source, Threshold, Thresholds

OpinionStatus = Literal["ok", "timeout", "error", "abstained", "shadow"]
ModeNow = Literal["votes", "shadow", "not asked"]


class Share(Struct, frozen=True):
    """What one expert advised, and how much of the score it carried: `contribution` = weight × score, null where it had
    no vote. `weight_now` and `contribution_now` are by today's weights with the same experts awake."""

    name: str
    version: str
    status: OpinionStatus
    score: float | None
    weight: float
    contribution: float | None
    mode_now: ModeNow
    weight_now: float
    contribution_now: float | None


class Recomputed(Struct, frozen=True):
    """The published score computed again from the recorded advice and weights. Weights are recorded as float32 and
    written with nine decimals, so the two may differ by `tolerance`, which follows from that; `agrees`: they do not
    differ by more. All null where nobody was awake."""

    score: float | None
    difference: float | None
    tolerance: float | None
    agrees: bool


class Decided(Struct, frozen=True):
    """What an ensemble decides of the recorded advice. `caution` and `unsafe` are the thresholds that hold; `rounds`
    the labelled turns that its weights have read; `changes`: it is another label than the published one."""

    policy: str
    rounds: int
    score: float | None
    label: LabelName
    changes: bool
    caution: Threshold
    unsafe: Threshold


class GivenLabel(Struct, frozen=True):
    """A label that the turn got. `counts`: it is the vote of its annotator that the state holds now; null where the
    state holds the turn no more. `received_at`: when the broker had it."""

    label: LabelName
    annotator: str
    labelled_at: datetime
    received_at: datetime
    partition: int
    offset: int
    counts: bool | None


class Lesson(Struct, frozen=True):
    """A labelled turn that moved the context's weights since. `moved` is by expert id: its weight today minus what it
    would be today had this turn never been labelled."""

    turn_id: str
    label: LabelName
    annotators: tuple[str, ...]
    labelled_at: datetime
    asked: bool
    moved: dict[str, float]


class Taught(Struct, frozen=True):
    """The labelled turns of the context that were written since the verdict: `turns` in all, by the class that was
    learned, by annotator and by how many annotators a turn had. `rounds` are the labelled turns that the context has
    learned since, by its own count: more than `turns` where some have left the state. `newest`: the last of them."""

    turns: int
    rounds: int
    by_class: dict[LabelName, int]
    by_annotator: dict[str, int]
    by_votes: dict[int, int]
    newest: tuple[Lesson, ...]


class Explanation(Struct, frozen=True):
    """Everything. `place` is where the verdict stands. `why` says in a sentence why the turn was labelled so.
    `thresholds` are those of its policy, null where labels set them or where the settings do not know the policy; `now`
    is what today's ensemble decides of the same advice, `otherwise` the same under another policy that was asked for.
    `taught` is null where it was not looked for, `text` where it was not asked for."""

    form: Literal[1]
    turn_id: str
    conversation_id: str
    tenant: str
    role: str
    label: LabelName
    score: float | None
    why: str
    policy: str
    context: str
    rounds: int
    categories: dict[str, float]
    asked: bool
    ask_probability: float
    scored_at: datetime
    latency_ms: int
    source: Source
    place: Source
    experts: tuple[Share, ...]
    recomputed: Recomputed
    thresholds: Thresholds | None
    now: Decided
    otherwise: Decided | None
    labels: tuple[GivenLabel, ...]
    taught: Taught | None
    text: str | None
    notes: tuple[str, ...]
