"""The wire records of the `.v1` topics: what producers publish and consumers read.

JSON in UTF-8. Unknown fields are ignored, so that a producer may be newer than the worker; a missing or ill-typed field
is a dead letter. Evolution is additive inside `.v1`: a new field is optional or has a default."""

from datetime import datetime
from typing import Annotated, Final, Literal, get_args

from msgspec import UNSET, Meta, Struct, UnsetType

# gc=False: no record can be part of a cycle, and the collector need not walk thousands of them a batch.

Id = Annotated[str, Meta(min_length=1, max_length=128)]
"""Identifiers are 1 to 128 characters: they become state keys, which are kept in memory."""
Instant = Annotated[datetime, Meta(tz=True)]
"""RFC 3339 with an offset; a time without one would mean another instant on every machine."""
Role = Literal["user", "assistant", "system"]
LabelName = Literal["safe", "needs_caution", "unsafe"]
LABELS: Final[tuple[LabelName, ...]] = get_args(LabelName)
"""In the order of `ensemble.policy.CLASSES`: the place of a label is its class."""
Probability = Annotated[float, Meta(ge=0.0, le=1.0)]


MOST_HISTORY = 1_000
"""Earlier messages that a turn may bring. Their texts are bounded together with the turn's (AEGIS_MAX_TEXT_BYTES), but
without a bound on their number 38,000 empty ones would fit into a message, and every expert would read them all."""


class Utterance(Struct, frozen=True, gc=False):
    """One earlier message of the conversation, as the producer sends it in `history`."""

    role: Role
    text: str


class Turn(Struct, frozen=True, omit_defaults=True, gc=False):
    """One message of a conversation: the unit that is scored. Topic `turns.v1`, keyed by `conversation_id`.

    `history` is what was said before it, oldest first; where it is absent or empty, experts read the last turns that
    the worker itself has read of the conversation (AEGIS_CONVERSATIONS)."""

    turn_id: Id
    conversation_id: Id
    role: Role
    text: str
    sent_at: Instant
    tenant: Id = "default"
    history: Annotated[tuple[Utterance, ...], Meta(max_length=MOST_HISTORY)] = ()
    metadata: dict[str, str] = {}


class Source(Struct, frozen=True, gc=False):
    """Where a turn stands: it names the partition whose state holds its pending record."""

    topic: str
    partition: Annotated[int, Meta(ge=0)]
    offset: Annotated[int, Meta(ge=0)]


class Opinion(Struct, frozen=True, gc=False):
    """What one expert advised on a turn, and the weight that its advice had. `score` is null when the expert slept.

    A `shadow` is scored and learned about, and has no vote: its weight is 0, and the decision is as if it were not
    there."""

    name: str
    version: str
    score: float | None
    weight: float
    status: Literal["ok", "timeout", "error", "abstained", "shadow"]


class Verdict(Struct, frozen=True, gc=False):
    """The published decision on a turn. Topic `verdicts.v1`, keyed by `conversation_id`.

    `score` is the forecast probability that the turn is unsafe; null when no expert was awake, in which case `label` is
    what the policy says of that (fail closed: `unsafe`). `categories` are the few likeliest risks, highest first, of at
    least 0.1 by the experts that tell risks apart. `rounds` counts the labelled turns that the weights had learned
    from. `latency_ms` runs from the broker's timestamp to the decision. `ask_label`: people are asked to label this
    turn; it was drawn with `ask_probability`, whose inverse is the weight of the label. A label of any other turn is
    welcome too, and counts as the policy says."""

    turn_id: str
    conversation_id: str
    tenant: str
    role: Role
    label: LabelName
    score: float | None
    policy: str
    categories: dict[str, float]
    experts: tuple[Opinion, ...]
    context: str
    rounds: int
    source: Source
    scored_at: datetime
    latency_ms: int
    metadata: dict[str, str]
    ask_label: bool = True
    ask_probability: Probability = 1.0


class Label(Struct, frozen=True, omit_defaults=True, gc=False):
    """What a person said of a turn, late. Topic `labels.v1`, keyed by `conversation_id`; `source`, copied from the
    verdict, spares the search for the turn."""

    turn_id: Id
    conversation_id: Id
    label: LabelName
    annotator: Id
    labelled_at: Instant
    tenant: Id = "default"
    categories: tuple[str, ...] = ()
    source: Source | UnsetType = UNSET


class Standing(Struct, frozen=True, gc=False):
    """One expert in a context: its weight with every expert that votes awake (0 if it does not vote now), its
    cumulative loss over the rounds in which it advised, and the ensemble's regret to it."""

    id: str
    weight: float
    loss: float
    regret: float


class Threshold(Struct, frozen=True, gc=False):
    """A score from which turns are decided so, and where it lies with 95 %. `calibrated`: labels set it; else the
    policy's fixed value stands, and `low` and `high` equal it."""

    score: Probability
    low: Probability
    high: Probability
    calibrated: bool


class Thresholds(Struct, frozen=True, gc=False):
    """From which scores turns of a context are decided `needs_caution` and `unsafe` now."""

    caution: Threshold
    unsafe: Threshold


class Departure(Struct, frozen=True, gc=False):
    """An expert, or `ensemble` for the published scores, whose mean loss of late, under a half-life of so many seconds,
    departed from that of all its labelled turns."""

    id: str
    half_life: float
    recent: float
    long_run: float


class Weights(Struct, frozen=True, gc=False):
    """What the ensemble believes of a context now. Topic `weights.v1`, compacted, keyed by `context`.

    `bound` is null where nothing is guaranteed. Losses and regrets are sums over `rounds` labelled turns, counted since
    `since_rounds` (where the policy last changed). `delay` is the total delay D of the bound. `shadows` are experts
    over the rounds in which they had no vote: a regret above 0 is what their votes could have won; `bound` and `alarm`
    do not speak of them. `thresholds` are those that decide now; `drift` names the losses that departed: with no real
    change, at most one look in a million finds any.

    With sampling on, `unasked_rounds` are labelled turns that nobody was asked for. They are learned from as the policy
    says (by default not at all). `reported_loss` and `reported_losses` (of the ensemble and of each expert, by id) are
    over all labelled turns ever, those at the weight that the policy gives them in reports; null and empty where there
    are none."""

    context: str
    policy: str
    rounds: int
    since_rounds: int
    at: datetime
    experts: tuple[Standing, ...]
    ensemble_loss: float
    bound: float | None
    delay: float
    alarm: bool
    shadows: tuple[Standing, ...] = ()
    thresholds: Thresholds | None = None
    drift: tuple[Departure, ...] = ()
    unasked_rounds: int = 0
    reported_loss: float | None = None
    reported_losses: dict[str, float] = {}


ModeName = Literal["enabled", "shadow", "disabled"]


class ExpertMode(Struct, frozen=True, gc=False):
    """What an operator wants of an expert since `at`. Topic `experts.v1`, compacted, keyed by the expert's name; a
    tombstone gives it back to the settings of each worker.

    `enabled`: it votes; `shadow`: it is scored and learned about, and does not vote; `disabled`: it is not asked."""

    mode: ModeName
    at: Instant


class Revocation(Struct, frozen=True, gc=False, tag_field="kind", tag="revoke"):
    """An operator takes back what an annotator said: votes of a time from `since` to `until` do not count, those that
    come later with such a time neither. `tenant` null: in all tenants. Topic `requests.v1`, compacted; the key is
    `["revoke", tenant, annotator, since in ms]`. `undone`: the revocation is taken back, which is a record and no
    tombstone, so that it is known however late it is carried out."""

    annotator: Id
    tenant: Id | None
    since: Instant
    until: Instant
    at: Instant
    undone: bool = False


class Erasure(Struct, frozen=True, gc=False, tag_field="kind", tag="forget"):
    """An operator wants the text of a conversation, or of one turn, gone: all of it up to `at`. Topic `requests.v1`;
    the key is `["forget", tenant, "conversation" or "turn", id]`."""

    tenant: Id
    at: Instant
    conversation_id: Id | None = None
    turn_id: Id | None = None


class Fulfilment(Struct, frozen=True, gc=False, tag_field="kind", tag="fulfilled"):
    """The owner of a partition of the state has carried out all requests up to these offsets (by partition of
    `requests.v1`). `counts`: of each that was new, by its key, the votes set aside or the records that lost their text.
    `limits`: a digest of the limits of annotators by which its votes are counted, empty without any. Topic
    `requests.v1`; the key is `["fulfilled", partition]`."""

    partition: Annotated[int, Meta(ge=0)]
    through: dict[int, int]
    counts: dict[str, int]
    at: Instant
    limits: str = ""


Request = Revocation | Erasure | Fulfilment
