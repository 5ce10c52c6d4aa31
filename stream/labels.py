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
    or enough newer ones are."""
    given, said = Vote(label, at_ms), said_by(pending, annotator)
    if given in said or given not in (kept := newest((*said, given))):
        return None
    every = {name: said_by(pending, name) for name in annotators_of(pending)}
    counted = _counted(pending, {**every, annotator: kept}, counting)
    return counted, _change(counted, pending)


def recount(pending: Pending, counting: Counting) -> tuple[Pending, Change | None] | None:
    """The record with its votes counted anew, and what that changes; None when all is as it was."""
    every = {name: said_by(pending, name) for name in annotators_of(pending)}
    counted = _counted(pending, every, counting)
    change = _change(counted, pending)
    same = change is None and counted.votes == pending.votes and counted.beside == pending.beside
    return None if same else (counted, change)


def annotators_of(pending: Pending) -> Iterable[str]:
    """Everyone who said something of the turn, whether or not it counts."""
    return dict.fromkeys((*pending.votes, *pending.beside)) if pending.beside else pending.votes


def said_by(pending: Pending, annotator: str) -> tuple[Vote, ...]:
    """The votes of one annotator that are kept."""
    standing, beside = pending.votes.get(annotator), pending.beside.get(annotator, ())
    return beside if standing is None else (standing, *beside)


def _counted(pending: Pending, every: Mapping[str, Sequence[Vote]], counting: Counting) -> Pending:
    """Of each annotator the newest vote that is not revoked counts; the rest is kept beside."""
    votes, beside = dict[str, Vote](), dict[str, tuple[Vote, ...]]()
    for annotator, said in every.items():
        valid = [vote for vote in said if not counting.is_revoked(annotator, vote.at_ms)]
        standing = max(valid, key=lambda vote: (vote.at_ms, vote.label), default=None)
        if standing is not None:
            votes[annotator] = standing
        if rest := newest(vote for vote in said if vote != standing):
            beside[annotator] = rest
    learned = counting.limits.decide(votes)
    return msgspec.structs.replace(
        pending, votes=votes, beside=beside, learned=NOTHING_LEARNED if learned is None else learned
    )


def _change(counted: Pending, pending: Pending) -> Change | None:
    before, after = learned_of(pending), learned_of(counted)
    return Change(counted, before, after) if before != after else None


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
