"""The ensemble on a stream of labelled rows, as a worker would have run it: every row is forecast from the labels that
had come by then, and learned when its own comes.

One context a role, as in `stream.state.context_of`. Rows come one every TURN_SECONDS; the label of a row comes `delay`
rows after it was forecast, if it comes at all. Everything learned is learned by `ensemble`: there is no second
implementation here.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from ensemble import Forecaster, Moments, Policy, Rounds, fold, report, zero
from experts.figures import Floats, Labels
from stream.evaluation.scoring import Scored

TURN_SECONDS: Final = 1.0
"""Event time between two rows, by which half-lives decay: the shortest, an hour, then remembers 3,600 of them."""
MOMENTS_KEPT: Final = 100
"""Copies of the moments kept of a context on its way: as many points as a plot of its weights can show."""


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


@dataclass(slots=True)
class _Context:
    """One role's moments, the labels that came since, and its forecaster, made anew when it is needed."""

    moments: Moments
    policy: Policy
    kept: list[Moments] = field(default_factory=list)
    _forecaster: Forecaster | None = None

    def forecaster(self) -> Forecaster:
        """The weights as of all labels that came."""
        if self._forecaster is None:
            self._forecaster = Forecaster.of(self.moments, self.policy, self.moments.experts)
        return self._forecaster

    def learn(self, rounds: Rounds, keep_every: int) -> None:
        """Takes in one label; a round in which nobody was awake teaches nothing."""
        learned = fold(self.moments, rounds)
        if learned.rounds > self.moments.rounds and learned.rounds % keep_every == 0:
            self.kept.append(learned)
        self.moments, self._forecaster = learned, None

    def standings(self) -> list[Standing]:
        """One for each copy of the moments, and one for the end."""
        return [self._standing(moments) for moments in (zero(self.moments.experts), *self.kept, self.moments)]

    def _standing(self, moments: Moments) -> Standing:
        told = report(moments, self.policy)
        weights = Forecaster.of(moments, self.policy, moments.experts).weights()
        return Standing(moments.rounds, weights, told.regret, told.bounds, told.alarm)


def adapt(scored: Scored, policy: Policy, labelling: Labelling) -> Adapted:
    """The ensemble over the rows in their order."""
    count = len(scored.rows)
    roles = [row.passage.role for row in scored.rows]
    contexts = {role: _Context(zero(scored.experts), policy) for role in dict.fromkeys(roles)}
    scores, read = np.full(count, np.nan), np.zeros(count)
    coming, came = deque[tuple[int, str, Rounds]](), 0
    labelled, keep_every = labelling.chosen(count), max(1, count // MOMENTS_KEPT)
    advice, awake = scored.scores.astype(np.float64), scored.awake
    for number, (row, role) in enumerate(zip(scored.rows, roles, strict=True)):
        while coming and coming[0][0] <= number:
            _, whose, rounds = coming.popleft()
            contexts[whose].learn(rounds, keep_every)
            came += 1
        forecaster, here = contexts[role].forecaster(), slice(number, number + 1)
        said = forecaster.forecast(advice[here], awake[here])
        scores[number], read[number] = said.published[0], came
        if labelled[number]:
            rounds = Rounds.of(
                advice[here], awake[here], said.forecasts, said.published, [row.label], [number * TURN_SECONDS],
                used=forecaster.used,
            )  # fmt: skip
            coming.append((number + 1 + labelling.delay, role, rounds))
    for _, whose, rounds in coming:  # they come after the last row, and count for what was learned in the end
        contexts[whose].learn(rounds, keep_every)
    return Adapted(scores, read, {role: context.standings() for role, context in contexts.items()})
