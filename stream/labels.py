"""The join: a label and the pending record of its turn give a vote, and what is learned of the turn follows from its
votes. Pure."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import msgspec
import numpy as np

from ensemble.moments import Moments, fold, merge, zero
from ensemble.rounds import Rounds
from ensemble.shadows import shadow_of
from ensemble.votes import Limits, Vote, newest
from experts.base import OK, SHADOW
from stream.asking import importance_of
from stream.state import NOTHING_LEARNED, Pending, learned_of

MOST_ANNOTATORS = 64
"""Annotators whose votes on one turn count: far more than anybody asks for, and a pending record stays a few kilobytes.
As many again are kept whose votes are all revoked."""


@dataclass(frozen=True, slots=True)
class Counting:
    """How votes on the turns of one tenant are counted: how far annotators are trusted, and which of their votes an
    operator revoked, as spans of time in ms, both ends included."""

    limits: Limits = field(default_factory=Limits)
    revoked: Mapping[str, Sequence[tuple[int, int]]] = field(default_factory=dict)

    def is_revoked(self, annotator: str, at_ms: int) -> bool:
        """Whether what this annotator said at that time does not count."""
        return any(since <= at_ms <= until for since, until in self.revoked.get(annotator, ()))


EVERYONE = Counting()
"""All annotators weigh the same, and nothing is revoked."""


@dataclass(frozen=True, slots=True)
class Change:
    """A turn of which class `before` was learned, and now `after` is to be (None: nothing)."""

    pending: Pending
    before: int | None
    after: int | None


def is_crowded(pending: Pending, annotator: str) -> bool:
    """Whether a turn has no room for a first vote of this annotator."""
    if annotator in pending.votes or annotator in pending.beside:
        return False
    many = len(pending.votes) >= MOST_ANNOTATORS
    return many or len(pending.votes.keys() | pending.beside.keys()) >= 2 * MOST_ANNOTATORS


def vote(
    pending: Pending, annotator: str, label: int, at_ms: int, counting: Counting = EVERYONE
) -> tuple[Pending, Change | None] | None:
    """The record with the vote in it, and what that changes. None when the vote changes nothing: it is stored already,
    or enough newer ones are. The votes of others stand as they do: `recount` counts them anew when the rules change."""
    given, said = Vote(label, at_ms), said_by(pending, annotator)
    kept = newest((*said, given)) if said else (given,)
    if given in said or given not in kept:
        return None
    votes, beside = pending.votes.copy(), pending.beside.copy()
    votes.pop(annotator, None)
    beside.pop(annotator, None)
    _divide(annotator, kept, counting, votes, beside)
    return _with(pending, votes, beside, counting)


def recount(pending: Pending, counting: Counting) -> tuple[Pending, Change | None] | None:
    """The record with its votes counted anew, and what that changes; None when all is as it was."""
    votes, beside = dict[str, Vote](), dict[str, tuple[Vote, ...]]()
    for annotator in annotators_of(pending):
        _divide(annotator, newest(said_by(pending, annotator)), counting, votes, beside)
    counted, change = _with(pending, votes, beside, counting)
    return None if change is None and (votes, beside) == (pending.votes, pending.beside) else (counted, change)


def annotators_of(pending: Pending) -> Iterable[str]:
    """Everyone who said something of the turn, whether or not it counts."""
    return dict.fromkeys((*pending.votes, *pending.beside)) if pending.beside else pending.votes


def said_by(pending: Pending, annotator: str) -> tuple[Vote, ...]:
    """The votes of one annotator that are kept."""
    standing, beside = pending.votes.get(annotator), pending.beside.get(annotator, ())
    return beside if standing is None else (standing, *beside)


def _divide(
    annotator: str,
    kept: tuple[Vote, ...],
    counting: Counting,
    votes: dict[str, Vote],
    beside: dict[str, tuple[Vote, ...]],
) -> None:
    """Of the votes of one annotator, the newest first, the first that is not revoked counts; the rest goes beside."""
    for place, vote in enumerate(kept):
        if not counting.revoked or not counting.is_revoked(annotator, vote.at_ms):
            votes[annotator] = vote
            kept = kept[:place] + kept[place + 1 :]
            break
    if kept:
        beside[annotator] = kept


def _with(
    pending: Pending, votes: dict[str, Vote], beside: dict[str, tuple[Vote, ...]], counting: Counting
) -> tuple[Pending, Change | None]:
    before, after = learned_of(pending), counting.limits.decide(votes)
    learned = NOTHING_LEARNED if after is None else after
    counted = msgspec.structs.replace(pending, votes=votes, beside=beside, learned=learned)
    return counted, Change(counted, before, after) if before != after else None


def learn(moments: Moments, changes: Sequence[Change]) -> Moments:
    """The moments of a context, or of its labels that nobody asked for, with the old classes taken back and the new
    ones added. The stored advice is scored, never a new run of the experts."""
    experts = tuple(sorted({*moments.experts, *(row for change in changes for row in rows_of(change.pending))}))
    if moments.experts != experts:
        moments = merge(moments, zero(experts, moments.half_lives))
    return fold(moments, _rounds(changes, moments.experts, len(moments.half_lives)))


def rows_of(pending: Pending) -> list[str]:
    """Under which name the moments sum what each expert said of this turn."""
    return [
        shadow_of(expert) if code == SHADOW else expert
        for expert, code in zip(pending.experts, pending.status, strict=True)
    ]


def _rounds(changes: Sequence[Change], experts: tuple[str, ...], half_lives: int) -> Rounds:
    rows = [(c.pending, c.before, -1) for c in changes if c.before is not None] + [
        (c.pending, c.after, 1) for c in changes if c.after is not None
    ]
    scores, awake = np.full((len(rows), len(experts)), np.nan), np.zeros((len(rows), len(experts)), np.bool_)
    forecasts = np.full((len(rows), half_lives), np.nan)
    column = {expert: i for i, expert in enumerate(experts)}
    for row, (pending, _, _) in enumerate(rows):
        columns = [column[name] for name in rows_of(pending)]
        scores[row, columns] = np.frombuffer(pending.scores, "<f4")
        status = np.frombuffer(pending.status, np.uint8)
        # Without a forecast there is nothing to compare a shadow with.
        awake[row, columns] = (status == OK) | ((status == SHADOW) & (pending.published is not None))
        forecasts[row] = np.frombuffer(pending.forecasts, "<f8")
    return Rounds.of(
        scores,
        awake,
        forecasts,
        [np.nan if pending.published is None else pending.published for pending, _, _ in rows],
        [label for _, label, _ in rows],
        [pending.scored_at_ms / 1000 for pending, _, _ in rows],
        used=[pending.used for pending, _, _ in rows],
        q=[importance_of(pending) for pending, _, _ in rows],
        sign=[sign for _, _, sign in rows],
    )
