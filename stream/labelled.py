"""Turns that people labelled, with their texts and votes, in the form of the Aegis data set: `labels.v1` joined with
`turns.v1`, as far back as both are kept.

The labels are read first and held, some 300 bytes a vote; then the turns pass by once. Of the conversation of a
labelled turn the last turns before it are kept meanwhile, as experts read them."""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import AsyncGenerator, Sequence
from datetime import datetime
from typing import Any, Final, NamedTuple

import msgspec

from ensemble.policy import CLASSES
from ensemble.votes import Limits, Vote
from experts.taxonomy import INDEX, normalised
from stream.codecs import decode_label, decode_turn
from stream.following import existing
from stream.labels import Counting
from stream.policies import Policies
from stream.records import Label, Turn, Utterance
from stream.requests import Requests, milliseconds
from stream.settings import Settings
from stream.topics import TopicNames

MOST_BEFORE: Final = 12
"""Turns of a conversation that are kept before a labelled one."""
LEAST_COLUMNS: Final = 5
"""Of votes: as many as the data set has."""
TEXT_TYPES: Final = {"user": "user_message", "assistant": "llm_response", "system": "system_message"}
AEGIS_NAMES: Final = {
    "hate": "Hate/Identity Hate",
    "sexual": "Sexual",
    "violence": "Violence",
    "suicide_and_self_harm": "Suicide and Self Harm",
    "threat": "Threat",
    "sexual_minor": "Sexual Minor",
    "guns_and_illegal_weapons": "Guns and Illegal Weapons",
    "controlled_substances": "Controlled/Regulated Substances",
    "criminal_planning": "Criminal Planning/Confessions",
    "pii_privacy": "PII/Privacy",
    "harassment": "Harassment",
    "profanity": "Profanity",
    "other": "Other",
    "illegal_activity": "Illegal Activity",
    "immoral_unethical": "Immoral/Unethical",
    "unauthorized_advice": "Unauthorized Advice",
    "political_misinformation_conspiracy": "Political/Misinformation/Conspiracy",
    "fraud_deception": "Fraud/Deception",
    "copyright_trademark_plagiarism": "Copyright/Trademark/Plagiarism",
    "high_risk_government_decision_making": "High Risk Gov Decision Making",
    "malware": "Malware",
    "manipulation": "Manipulation",
}
"""Each risk as the data set writes it."""
SAFE, CAUTION, OTHER = "Safe", "Needs Caution", AEGIS_NAMES["other"]


class Ballot(NamedTuple):
    """One annotator's newest vote on a turn."""

    vote: Vote
    categories: tuple[str, ...]


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """A labelled turn. `labels`: each annotator's categories, joined by commas, without names; `unsafe` is what the
    majority says, None where it says needs caution. `categories`: all that were named, and Needs Caution if so."""

    id: str
    text: str
    text_type: str
    labels: tuple[str, ...]
    unsafe: bool | None
    role: str
    history: tuple[Utterance, ...]
    categories: tuple[str, ...]
    tenant: str
    width: int
    """Columns of votes that every row of the same table has."""

    def columns(self) -> dict[str, object]:
        """Those of the data set (`text`, `text_type`, `labels_0` and so on, `num_annotations`, `id`), then ours."""
        wide = (*self.labels, *[""] * (self.width - len(self.labels)))
        return {
            "id": self.id,
            "text": self.text,
            "num_annotations": len(self.labels),
            "text_type": self.text_type,
            **{f"labels_{number}": said for number, said in enumerate(wide)},
            "unsafe": self.unsafe,
            "role": self.role,
            "history": [{"role": one.role, "text": one.text} for one in self.history],
            "categories": list(self.categories),
            "tenant": self.tenant,
        }


class Ballots:
    """The votes that count, by turn."""

    def __init__(self, requests: Requests, since: datetime | None, tenant: str | None) -> None:
        """Of labels given since a time, on turns of one tenant (None: of all)."""
        self._requests = requests
        self._since_ms = 0 if since is None else milliseconds(since)
        self._tenant = tenant
        self._counting: dict[str, Counting] = {}
        self._turns: dict[tuple[str, str], dict[str, Ballot]] = defaultdict(dict)
        self.conversations: set[tuple[str, str]] = set()

    def __len__(self) -> int:
        return len(self._turns)

    @property
    def widest(self) -> int:
        """Annotators of the turn that has most."""
        return max(map(len, self._turns.values()), default=0)

    def add(self, label: Label, timestamp_ms: int) -> None:
        """The newest of an annotator counts, in whatever order they come."""
        at_ms = min(milliseconds(label.labelled_at), timestamp_ms)
        if at_ms < self._since_ms or self._tenant not in (None, label.tenant) or self._is_revoked(label, at_ms):
            return
        said = self._turns[label.tenant, label.turn_id]
        ballot = Ballot(Vote(CLASSES.index(label.label), at_ms), label.categories)
        known = said.get(label.annotator)
        if known is None or (at_ms, ballot.vote.label) > (known.vote.at_ms, known.vote.label):
            said[label.annotator] = ballot
        self.conversations.add((label.tenant, label.conversation_id))

    def take(self, turn: Turn) -> list[tuple[str, Ballot]]:
        """(annotator, vote) on a turn, in the order in which they were given; a turn that comes twice has them once."""
        said = self._turns.pop((turn.tenant, turn.turn_id), {})
        return sorted(said.items(), key=lambda item: (item[1].vote.at_ms, item[0]))

    def _is_revoked(self, label: Label, at_ms: int) -> bool:
        counting = self._counting.get(label.tenant)
        if counting is None:
            counting = self._counting[label.tenant] = Counting(revoked=self._requests.revoked_in(label.tenant))
        return counting.is_revoked(label.annotator, at_ms)


async def labelled_turns(
    settings: Settings, since: datetime | None = None, tenant: str | None = None
) -> AsyncGenerator[Row, None]:
    """Yields each labelled turn whose text is still there; `since` is of the labels. Raises TopicsError or BrokerError,
    one line."""
    names, policies, requests = TopicNames.of(settings), Policies(settings), Requests()
    async for records in existing(settings, names.requests):
        requests.learn(records)
    ballots = Ballots(requests, since, tenant)
    since_ms = None if since is None else milliseconds(since)
    async for records in existing(settings, names.labels, since_ms):
        for record in records:
            label = decode_label(record.value, record.key)
            if isinstance(label, Label):
                ballots.add(label, record.timestamp)
    width = max(LEAST_COLUMNS, ballots.widest)
    # A label of today may be of a turn as old as the horizon.
    earliest = None if since_ms is None else since_ms - int(settings.label_horizon * 1000)
    said: dict[tuple[str, str], deque[Utterance]] = defaultdict(lambda: deque(maxlen=MOST_BEFORE))
    async for records in existing(settings, names.turns, earliest) if ballots else _nothing():
        for record in records:
            turn = decode_turn(record.value, settings.max_text_bytes)
            if not isinstance(turn, Turn) or requests.forgets_turn(turn, record.timestamp):
                continue
            conversation = (turn.tenant, turn.conversation_id)
            votes = ballots.take(turn)
            if votes:
                before = turn.history or tuple(said.get(conversation, ()))
                limits = policies.of(f"{turn.tenant}/{turn.role}").limits
                yield row_of(turn, before[-MOST_BEFORE:], votes, limits, width)
            if conversation in ballots.conversations:
                said[conversation].append(Utterance(turn.role, turn.text))


def row_of(
    turn: Turn, before: Sequence[Utterance], votes: Sequence[tuple[str, Ballot]], limits: Limits, width: int
) -> Row:
    """The row of a turn. Where a quorum is not there yet, all votes count alike: a file has no pending turns."""
    said = {annotator: ballot.vote for annotator, ballot in votes}
    decided = limits.decide(said)
    label = CLASSES[Limits().decide(said) or 0] if decided is None else CLASSES[decided]
    named = dict.fromkeys(name for _, ballot in votes for name in ballot.categories if label != "safe")
    shown = tuple(AEGIS_NAMES.get(normalised(name), name) for name in named)
    return Row(
        id=turn.turn_id,
        text=turn.text,
        text_type=TEXT_TYPES[turn.role],
        labels=tuple(column_of(ballot) for _, ballot in votes),
        unsafe={"safe": False, "unsafe": True}.get(label),
        role=turn.role,
        history=tuple(before),
        categories=((CAUTION,) if label == "needs_caution" else ()) + shown,
        tenant=turn.tenant,
        width=width,
    )


def column_of(ballot: Ballot) -> str:
    """One annotator's column. The data set knows an unsafe turn by its risks alone, and one with a risk for unsafe: so
    an unsafe one without any is of another risk, and one that needs caution is that alone."""
    label = CLASSES[ballot.vote.label]
    if label != "unsafe":
        return SAFE if label == "safe" else CAUTION
    known = [AEGIS_NAMES[name] for name in map(normalised, ballot.categories) if name in INDEX]
    return ", ".join(known) or OTHER


async def _nothing() -> AsyncGenerator[list[Any], None]:
    return
    yield
