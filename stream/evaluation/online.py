"""The ensemble on a stream of labelled rows, as a worker would have run it: every row is forecast from the labels that
had come by then, and learned when its own comes.

One context a role, as in `stream.state.context_of`. Rows come one every TURN_SECONDS; the label of a row comes `delay`
rows after it was forecast, if it comes at all. `stream.simulation` runs it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from ensemble import Policy
from experts.figures import Floats, Labels
from stream.evaluation.scoring import Scored
from stream.simulation import UNLABELLED, Changes, Phase, Reading, Turns, simulate

TURN_SECONDS: Final = 1.0
"""Event time between two rows, by which half-lives decay: the shortest, an hour, then remembers 3,600 of them."""


@dataclass(frozen=True, slots=True)
class Labelling:
    """How labels come: `delay` rows after the forecast, for a share of `rate` of the rows, drawn by `seed`."""

    delay: int = 0
    rate: float = 1.0
    seed: int = 0

    def chosen(self, rows: int) -> Labels:
        """[N] the rows whose labels come."""
        return np.asarray(np.random.default_rng(self.seed).random(rows) < self.rate)


@dataclass(frozen=True, slots=True)
class Standing:
    """What a context had learned when it had read so many labels."""

    labels: int
    weights: Floats
    """[K] of each expert when all are awake."""
    regret: Floats
    """[K] the ensemble's cumulative loss minus the expert's, over the rounds in which it was awake."""
    bounds: Floats
    """[K] what that cannot exceed; infinity where nothing is guaranteed."""
    alarm: bool


@dataclass(frozen=True, eq=False, slots=True)
class Adapted:
    """What the ensemble said of N rows, and what each context learned on the way."""

    scores: Floats
    """[N] forecast before the row's own label came; NaN where nobody was awake."""
    read: Floats
    """[N] how many labels had come when the row was forecast, over all contexts."""
    contexts: dict[str, list[Standing]]
    """By role; the last one of each is how it ended."""


def adapt(scored: Scored, policy: Policy, labelling: Labelling) -> Adapted:
    """The ensemble over the rows in their order."""
    count = len(scored.rows)
    changes = _changes(scored, labelling)
    said = simulate(_turns(scored), changes, [Reading(0, lambda role: policy)])
    read = np.searchsorted(changes.due, np.arange(count), side="right").astype(np.float64)
    return Adapted(said.published, read, {role: _standings(phases[0]) for role, phases in said.phases.items()})


def _turns(scored: Scored) -> Turns:
    awake = scored.awake
    return Turns(
        experts=scored.experts,
        scores=scored.scores.astype(np.float64),
        awake=awake,
        panel=np.ones_like(awake),
        context=tuple(row.passage.role for row in scored.rows),
        at=np.arange(len(scored.rows), dtype=np.float64) * TURN_SECONDS,
    )


def _changes(scored: Scored, labelling: Labelling) -> Changes:
    """Labels that come after the last row count for what was learned in the end."""
    count = len(scored.rows)
    rows = np.flatnonzero(labelling.chosen(count))
    return Changes(
        row=rows,
        before=np.full(len(rows), UNLABELLED, np.int8),
        after=np.array([scored.rows[row].label for row in rows], np.uint8),
        due=np.minimum(rows + 1 + labelling.delay, count),
        came=np.asarray(rows + 1.0 + labelling.delay, np.float64) * TURN_SECONDS,
        q=np.ones(len(rows)),
    )


def _standings(phase: Phase) -> list[Standing]:
    standings = []
    for kept in phase.kept:
        told = phase.report(kept)
        weights = np.array(list(phase.weights(kept).values()))
        standings.append(Standing(kept.moments.rounds, weights, told.regret, told.bounds, told.alarm))
    return standings
