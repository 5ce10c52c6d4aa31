"""The join: a label and the pending record of its turn give a vote, and a changed majority gives rounds to learn.
Pure."""

from collections.abc import Sequence
from dataclasses import dataclass

import msgspec
import numpy as np

from ensemble.moments import Moments, fold, merge, zero
from ensemble.rounds import Rounds
from ensemble.shadows import shadow_of
from ensemble.votes import Vote, cast, majority
from experts.base import OK, SHADOW
from stream.asking import importance_of
from stream.state import Pending

MOST_ANNOTATORS = 64
"""Votes kept for one turn: far more than anybody asks for, and a pending record stays a few kilobytes."""


@dataclass(frozen=True, slots=True)
class Change:
    """A turn whose majority went from class `before` (None: unlabelled) to class `after`."""

    pending: Pending
    before: int | None
    after: int


def vote(pending: Pending, annotator: str, label: int, at_ms: int) -> tuple[Pending, Change | None] | None:
    """The record with the vote in it, and what that changes. None when the vote changes nothing: it is stored already,
    or a newer one is."""
    votes: dict[str, Vote] | None = cast(pending.votes, annotator, label, at_ms)
    if votes is None:
        return None
    before, after = majority(pending.votes), majority(votes)
    voted = msgspec.structs.replace(pending, votes=votes)
    assert after is not None
    return voted, Change(voted, before, after) if before != after else None


def learn(moments: Moments, changes: Sequence[Change]) -> Moments:
    """The moments of a context, or of its labels that nobody asked for, with the old majorities taken back and the new
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
        (c.pending, c.after, 1) for c in changes
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
