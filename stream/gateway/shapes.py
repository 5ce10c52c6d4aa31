"""What is asked and answered over HTTP: OpenAI's moderation, with what is ours under `aegis`; and labels."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Generic, Literal, TypeVar

from msgspec import Meta, Raw, Struct, field

from stream.records import MOST_HISTORY, Id, LabelName, Opinion, Role, Source, Utterance

MOST_INPUTS = 256
"""Texts of one request: about what experts score in one batch on a CPU, so that one caller delays no other by more."""
MOST_LABELS = 1_000
"""Labels of one request."""

Way = Literal["topics", "direct"]
T = TypeVar("T")


class TextPart(Struct, frozen=True, tag_field="type", tag="text"):
    """A part of one input."""

    text: str


class ImagePart(Struct, frozen=True, tag_field="type", tag="image_url"):
    """Known, so that it can be refused in words: no expert looks at images."""

    image_url: Raw


class About(Struct, frozen=True):
    """What the gateway cannot know of the texts. Headers `Aegis-Conversation-Id`, `Aegis-Role`, `Aegis-Tenant` and
    `Aegis-Mode` say the same; what the body says counts.

    Without `conversation_id` each input is a conversation of its own; with it, several are turns of it in their order.
    `history` is what was said before. `mode`: by way of the topics, or at once and unrecorded."""

    conversation_id: Id | None = None
    role: Role | None = None
    tenant: Id | None = None
    history: Annotated[tuple[Utterance, ...], Meta(max_length=MOST_HISTORY)] = ()
    metadata: dict[str, str] = {}
    mode: Way | None = None


class ModerationRequest(Struct, frozen=True):
    """POST `/v1/moderations`. `input`: a text, texts with a result each, or parts that are one input together. `model`
    may name anything, as clients of OpenAI do: the experts of this installation answer."""

    input: str | Annotated[list[str | TextPart | ImagePart], Meta(min_length=1, max_length=MOST_INPUTS)]
    model: str | None = None
    aegis: About = About()


class PerCategory(Struct, Generic[T], frozen=True):
    """One value for each of OpenAI's categories, in the order of `categories.CATEGORIES`."""

    harassment: T
    harassment_threatening: T = field(name="harassment/threatening")
    hate: T
    hate_threatening: T = field(name="hate/threatening")
    illicit: T
    illicit_violent: T = field(name="illicit/violent")
    self_harm: T = field(name="self-harm")
    self_harm_instructions: T = field(name="self-harm/instructions")
    self_harm_intent: T = field(name="self-harm/intent")
    sexual: T
    sexual_minors: T = field(name="sexual/minors")
    violence: T
    violence_graphic: T = field(name="violence/graphic")


class Categories(PerCategory[bool], frozen=True):
    """Which are there: none in an input that is not flagged."""


class CategoryScores(PerCategory[float], frozen=True):
    """How likely each is, by the experts that tell risks apart; 0 is under 0.1, or not among the five highest."""


class CategoryAppliedInputTypes(PerCategory[tuple[Literal["text"], ...]], frozen=True):
    """Empty for a category that the experts cannot tell, whose score says nothing."""


class Detail(Struct, frozen=True):
    """What OpenAI's shape has no room for: the verdict. `score`: the probability that the turn is unsafe, null when no
    expert was awake, and then `label` is what the policy says of that. `mode` `direct`: no turn was recorded and no
    label is asked, so that `source` is null. `source` goes into a label of this turn."""

    label: LabelName
    score: float | None
    policy: str
    turn_id: str
    conversation_id: str
    tenant: str
    mode: Way
    categories: dict[str, float]
    experts: tuple[Opinion, ...]
    context: str
    rounds: int
    source: Source | None
    scored_at: datetime
    latency_ms: int
    ask_label: bool


class Result(Struct, frozen=True):
    """Of one input. `flagged`: its label is `unsafe`, also where no category of OpenAI's says why."""

    flagged: bool
    categories: Categories
    category_scores: CategoryScores
    category_applied_input_types: CategoryAppliedInputTypes
    aegis: Detail


class ModerationResponse(Struct, frozen=True):
    """`model` names the policy under which the inputs were decided. `results` are in the order of the inputs."""

    id: str
    model: str
    results: tuple[Result, ...]


class LabelResult(Struct, frozen=True, omit_defaults=True):
    """What became of one label. `accepted`: all replicas have it; `refused`: `reason` and `detail` say why; `not_sent`:
    it is good, and another of the request is not."""

    status: Literal["accepted", "refused", "not_sent"]
    turn_id: str | None = None
    reason: str | None = None
    detail: str | None = None


class LabelsResponse(Struct, frozen=True):
    """In the order of the labels."""

    results: tuple[LabelResult, ...]


class ErrorBody(Struct, frozen=True):
    """`message` is one line that says what to do."""

    message: str
    type: str
    param: str | None
    code: str | None


class ErrorResponse(Struct, frozen=True):
    """Every answer of a status of 400 and above; of `/v1/labels` also with `results`."""

    error: ErrorBody
