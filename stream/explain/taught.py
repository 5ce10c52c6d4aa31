"""What moved a context's weights since a verdict: the turns of it whose votes the state's changelog holds since then.

The changelog has the last record of each pending turn, with its votes and its advice. So what a turn's label did is
known exactly, whenever it came: the moments are sums, and its round can be taken out of today's. What it does not know:
turns that left the state (AEGIS_LABEL_HORIZON, `aegis forget`), and the order of changes within one turn."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from ensemble.forecaster import Forecaster
from ensemble.policy import Policy
from ensemble.sampling import with_unasked
from stream import state
from stream.asking import unasked_of
from stream.explain.finding import Advance
from stream.explain.results import Lesson, Taught
from stream.following import existing
from stream.labels import Change, learn
from stream.letters import instant
from stream.priors import aligned
from stream.records import LABELS, LabelName
from stream.settings import Settings
from stream.topics import TopicNames
from stream.view import MergedView


@dataclass(frozen=True, slots=True)
class Written:
    """A pending record and when it was written, ms since 1970."""

    key: bytes
    pending: state.Pending
    at_ms: int

    @property
    def turn_id(self) -> str:
        """Of the turn that it waits for labels of."""
        return state.turn_of(self.key)[1]


@dataclass(slots=True)
class Votes:
    """The newest record of each turn of a context, of those that came to have votes; and of one turn, in any case."""

    context: str
    own: bytes
    """The state key of that turn."""
    turns: dict[tuple[int, bytes], Written] = field(default_factory=dict)
    turn: state.Pending | None = None

    def take(self, record: Any) -> None:
        """A record of the changelog."""
        if record.key[:1] != state.PENDING:
            return
        place = (record.partition, record.key)
        if record.value is None:
            self.turns.pop(place, None)
            return
        pending = state.decode_pending(record.value)
        if pending.context != self.context:
            return
        if record.key == self.own:
            self.turn = pending
        if state.learned_of(pending) is not None:
            self.turns[place] = Written(record.key, pending, record.timestamp)
        else:
            self.turns.pop(place, None)


async def votes_since(settings: Settings, votes: Votes, since_ms: int, advance: Advance) -> None:
    """Reads the changelog from then on."""
    topic = TopicNames.of(settings).changelog
    async for records in existing(settings, topic, since_ms):
        advance(f"reading {topic}", len(records))
        for record in records:
            if record.key is not None:
                votes.take(record)


def taught(votes: Votes, rounds: int, newest: int, weights: Weighing) -> Taught:
    """What they taught; the `newest` of them one by one."""
    turns = sorted(votes.turns.values(), key=lambda turn: turn.at_ms, reverse=True)
    return Taught(
        turns=len(turns),
        rounds=rounds,
        by_class=dict(Counter(_class_of(turn.pending) for turn in turns).most_common()),
        by_annotator=dict(Counter(name for turn in turns for name in turn.pending.votes).most_common()),
        by_votes=dict(sorted(Counter(len(turn.pending.votes) for turn in turns).items())),
        newest=tuple(_lesson(turn, weights) for turn in turns[:newest]),
    )


@dataclass(frozen=True, slots=True)
class Weighing:
    """How a context is weighed today."""

    view: MergedView
    context: str
    policy: Policy
    forecaster: Forecaster

    def without(self, pending: state.Pending) -> dict[str, float]:
        """By expert, its weight today minus what it would be had this turn never been labelled; empty where today's
        weights do not depend on it: they are the parents', or nobody asked for the label and it does not count."""
        if self.context not in self.view.priors or not (pending.asked or self.policy.unasked):
            return {}
        change = Change(pending, state.learned_of(pending), None)
        asked, unasked = self.view.total(self.context), self.view.unasked(self.context)
        if pending.asked:
            asked = learn(asked, [change])
        else:
            unasked = learn(self.view.total(unasked_of(self.context)), [change])
        experts = self.forecaster.experts
        prior = aligned(self.view.priors[self.context], experts)
        other = Forecaster.of(with_unasked(asked, unasked, self.policy.unasked), self.policy, experts, prior)
        moved = self.forecaster.weights() - other.weights()
        return dict(zip(experts, moved.tolist(), strict=True))


def _lesson(turn: Written, weights: Weighing) -> Lesson:
    pending = turn.pending
    said = max((vote.at_ms for vote in pending.votes.values()), default=turn.at_ms)
    return Lesson(
        turn.turn_id, _class_of(pending), tuple(pending.votes), instant(said), pending.asked, weights.without(pending)
    )


def _class_of(pending: state.Pending) -> LabelName:
    """The class that was learned of a turn with votes."""
    learned = state.learned_of(pending)
    assert learned is not None, "only turns of which something was learned are kept"
    return LABELS[learned]
