"""The ensemble on a stream that is over, as a worker would have run it: every turn is forecast from the labels that had
come by then, and a label is learned when it comes. `aegis evaluate` and `aegis replay` run this.

    Turns (advice, context, time) ──┐
    Changes (class, when it came) ──┴──▶ simulate ──▶ scores, and of each context its phases: moments on the way

Everything learned is learned by `ensemble`: there is no second implementation here. A context knows nothing of another,
so each is run by itself: its turns between two labels are forecast in one call, its labels between two turns are folded
in one. The stored advice is scored, never a new run of the experts.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

import numpy as np
import numpy.typing as npt

from ensemble import HALF_LIVES, Forecaster, Moments, Policy, RegretReport, Rounds, fold, report, zero
from ensemble.rounds import N
from ensemble.shadows import voters_of
from ensemble.thresholds import calibrate

Floats = npt.NDArray[np.float64]
Places = npt.NDArray[np.intp]
Mask = npt.NDArray[np.bool_]

MOMENTS_KEPT: Final = 100
"""Copies of the moments kept of a context on its way: as many points as a plot of its weights can show."""
MOMENTS_KEPT_IN_ALL: Final = 2000
"""Where there are many contexts, fewer are kept of each: reading a copy takes a millisecond."""
LEAST_KEPT: Final = 10
"""But so many of each context."""
UNLABELLED: Final = -1
"""The class before the first label."""
TURNS_TOLD: Final = 500
"""Between two calls that say how far it is."""


@dataclass(frozen=True, eq=False, slots=True)
class Turns:
    """N turns in the order in which they are forecast, and what K experts had said of them."""

    experts: tuple[str, ...]
    """[K] names of rows, as the moments have them: `name@version`, and of a shadow the name of its own row."""
    scores: Floats
    """[N, K], any value where asleep."""
    awake: Mask
    """[N, K]"""
    panel: Mask
    """[N, K] who was asked: a context knows those experts that were asked about one of its turns."""
    context: tuple[str, ...]
    """[N]"""
    at: Floats
    """[N] unix seconds, never falling: when each was scored."""
    published: Floats | None = None
    """[N] scores that were published, nan for none; where given they are learned about, not those forecast here."""
    used: Floats | None = None
    """[N] what each had `used` when it was published, where that is known; else it is what is used here."""

    def __len__(self) -> int:
        return len(self.at)


@dataclass(frozen=True, eq=False, slots=True)
class Changes:
    """M times that people changed the class of a turn, in the order in which they are learned."""

    row: Places
    """[M] of which turn."""
    before: npt.NDArray[np.int8]
    """[M] its class until then, UNLABELLED if it had none."""
    after: npt.NDArray[np.uint8]
    """[M]"""
    due: Places
    """[M] the first turn that is forecast with it, N if none is; never falling, always after `row`."""
    came: Floats
    """[M] unix seconds of that, for those who look."""
    q: Floats
    """[M] 1 / (probability that this turn was chosen for labelling)."""

    def __len__(self) -> int:
        return len(self.row)

    def take(self, some: Places) -> Changes:
        """Some of them, in this order."""
        return Changes(
            self.row[some], self.before[some], self.after[some], self.due[some], self.came[some], self.q[some]
        )


@dataclass(frozen=True, eq=False, slots=True)
class Reading:
    """From turn `since` on, contexts are read under these policies."""

    since: int
    policy_of: Callable[[str], Policy]


@dataclass(frozen=True, eq=False, slots=True)
class Kept:
    """The moments of a context on its way, `at` unix seconds."""

    at: float
    moments: Moments


@dataclass(eq=False, slots=True)
class Phase:
    """A context under one policy. Its regret counts from `baseline`, a copy of the moments when the policy changed."""

    policy: Policy
    since: int
    """The turn, of all N, from which on the policy holds."""
    baseline: Moments | None
    kept: list[Kept] = field(default_factory=list)
    """The beginning, copies on the way, and the end; two are one where nothing came between them."""

    def report(self, kept: Kept) -> RegretReport:
        """Losses, regret and bound from the beginning of the phase to this copy."""
        return report(kept.moments, self.policy, baseline=self.baseline)

    def weights(self, kept: Kept, among: Collection[str] | None = None) -> dict[str, float]:
        """Of each expert that votes when all are awake, or all `among` these."""
        voters = voters_of(kept.moments.experts)
        if not voters:
            return {}
        forecaster = Forecaster.of(kept.moments, self.policy, voters)
        awake = np.array([[among is None or name in among for name in voters]])
        weights = forecaster.forecast(np.zeros(awake.shape), awake).weights[0]
        return dict(zip(voters, weights.tolist(), strict=True))

    def heard(self, kept: Kept) -> dict[str, float]:
        """sum q over the phase's labelled rounds in which each row was awake."""
        before = 0.0 if self.baseline is None else self.baseline.own[..., N]
        counts = (kept.moments.own[..., N] - before).sum(axis=-1)
        return dict(zip(kept.moments.experts, counts.tolist(), strict=True))


@dataclass(frozen=True, eq=False, slots=True)
class Simulated:
    """What the ensemble said of N turns, and what each context learned on the way."""

    forecasts: Floats
    """[N, H] of each half-life; nan where nobody was awake."""
    published: Floats
    """[N] forecast before the turn's own label came; nan where nobody was awake."""
    used: Floats
    """[N] the labels, counted in importance weights, that its context had learned when the turn was forecast."""
    labels: npt.NDArray[np.uint8]
    """[N] the class decided: of the score forecast here, or published where that is given; where labels set thresholds,
    from those that had come."""
    phases: Mapping[str, Sequence[Phase]]
    """By context, in the order in which they first came."""


def simulate(
    turns: Turns,
    changes: Changes,
    readings: Sequence[Reading],
    together: int = 1,
    advance: Callable[[int], None] = lambda count: None,
) -> Simulated:
    """The ensemble over the turns. The first of `readings` begins at turn 0, each other later than the one before. So
    many labels of a context are learned `together`, when the last of them has come: above 1 it is faster, and what
    the others wait is in the delay. `advance` is told how many turns are done.
    """
    count = len(turns)
    said = Simulated(
        np.full((count, len(HALF_LIVES)), np.nan),
        np.full(count, np.nan),
        np.zeros(count),
        np.zeros(count, np.uint8),
        {},
    )
    rows_of: dict[str, list[int]] = {}
    for row, context in enumerate(turns.context):
        rows_of.setdefault(context, []).append(row)
    mine = _by_context(turns, changes)
    copies = min(MOMENTS_KEPT, max(LEAST_KEPT, MOMENTS_KEPT_IN_ALL // max(1, len(rows_of))))
    phases: dict[str, Sequence[Phase]] = {}
    for context, rows in rows_of.items():
        its = changes.take(mine.get(context, np.zeros(0, np.intp)))
        run = _Run(turns, its, np.array(rows, np.intp), said, together, copies, advance)
        phases[context] = run.through([(reading.since, reading.policy_of(context)) for reading in readings], count)
    return replace(said, phases=phases)


def _by_context(turns: Turns, changes: Changes) -> dict[str, Places]:
    """Which of the changes are of each context's turns, in their order."""
    found: dict[str, list[int]] = {}
    for number, row in enumerate(changes.row.tolist()):
        found.setdefault(turns.context[row], []).append(number)
    return {context: np.array(numbers, np.intp) for context, numbers in found.items()}


class _Run:
    """One context from its first turn to its last label. Its n turns and m changes are numbered anew."""

    def __init__(
        self,
        turns: Turns,
        changes: Changes,
        rows: Places,
        said: Simulated,
        together: int,
        copies: int,
        advance: Callable[[int], None],
    ) -> None:
        last = np.minimum(np.arange(len(changes)) // together * together + together, len(changes)) - 1
        columns = np.flatnonzero(turns.panel[rows].any(axis=0))
        self._rows, self._at, self._said = rows, turns.at[rows], said
        self._names = tuple(turns.experts[column] for column in columns)
        self._voters = voters_of(self._names)
        self._advice, self._awake = turns.scores[np.ix_(rows, columns)], turns.awake[np.ix_(rows, columns)]
        voting = [column for column, name in enumerate(self._names) if name in self._voters]
        self._votes, self._voting = self._advice[:, voting], self._awake[:, voting]
        self._published = said.published if turns.published is None else turns.published
        self._used = said.used if turns.used is None else turns.used
        self._row, self._due = np.searchsorted(rows, changes.row), changes.due[last]
        self._came = np.maximum.accumulate(changes.came)
        self._before, self._after, self._q = changes.before, changes.after, changes.q
        self._moments = zero(self._names)
        self._keep_every = max(1, len(changes) // copies)
        self._advance, self._untold = advance, 0

    def through(self, readings: Sequence[tuple[int, Policy]], count: int) -> list[Phase]:
        """One phase for each (turn, policy). A label that comes with the turn of a switch is learned before it."""
        phases, learned = list[Phase](), 0
        ends = [since for since, _ in readings[1:]] + [count]
        for (since, policy), end in zip(readings, ends, strict=True):
            first, last = np.searchsorted(self._rows, (since, end)).tolist()
            coming = slice(learned, int(np.searchsorted(self._due, end, side="right")))
            phase = Phase(policy, since, self._moments if self._moments.rounds else None)
            self._pass(phase, first, last, coming)
            phases.append(phase)
            learned = coming.stop
        self._advance(self._untold)
        return phases

    def _pass(self, phase: Phase, first: int, last: int, coming: slice) -> None:
        """The turns from `first` to before `last`, and the labels that come meanwhile."""
        phase.kept.append(Kept(self._time(first), self._moments))
        due = np.clip(np.searchsorted(self._rows, self._due[coming]), first, last)
        starts = np.unique(np.append(due, (first, last)))
        bounds = (coming.start + np.searchsorted(due, np.append(starts, last + 1))).tolist()
        starts = starts.tolist()
        for number, start in enumerate(starts):
            self._learn(phase, bounds[number], bounds[number + 1])
            if start < last:
                self._forecast(phase.policy, slice(start, starts[number + 1]))
        learned = float(self._came[coming.stop - 1]) if coming.stop > coming.start else -np.inf
        phase.kept.append(Kept(max(self._time(last), learned), self._moments))

    def _forecast(self, policy: Policy, part: slice) -> None:
        """Turns that are forecast from the same labels."""
        rows = self._rows[part]
        if self._voters:
            forecaster = Forecaster.of(self._moments, policy, self._voters)
            said = forecaster.forecast(self._votes[part], self._voting[part])
            self._said.forecasts[rows], self._said.published[rows] = said.forecasts, said.published
            self._said.used[rows] = forecaster.used
        deciding = policy if policy.thresholds == "fixed" else calibrate(self._moments, policy).applied(policy)
        self._said.labels[rows] = deciding.decide_many(self._published[rows])
        self._untold += len(rows)
        if self._untold >= TURNS_TOLD:
            self._advance(self._untold)
            self._untold = 0

    def _learn(self, phase: Phase, begin: int, end: int) -> None:
        """The changes from `begin` to before `end`."""
        for start in range(begin, end, self._keep_every):
            before, stop = self._moments.rounds, min(start + self._keep_every, end)
            self._moments = fold(self._moments, self._rounds(start, stop))
            if self._moments.rounds // self._keep_every > before // self._keep_every:
                at = max(phase.kept[-1].at, float(self._came[stop - 1]))
                phase.kept.append(Kept(at, self._moments))

    def _rounds(self, begin: int, end: int) -> Rounds:
        """Old classes taken back and new ones added."""
        some, signs = np.arange(begin, end), np.ones(end - begin, np.int8)
        label = self._after[begin:end]
        taken = some[self._before[begin:end] != UNLABELLED]
        if len(taken):
            some, label = np.append(taken, some), np.append(self._before[taken].astype(np.uint8), label)
            signs = np.append(np.full(len(taken), -1, np.int8), signs)
        index = self._row[some]
        rows = self._rows[index]
        published = self._published[rows]
        awake = self._awake[index]
        awake[np.isnan(published)] = False  # without a forecast there is nothing to compare a shadow with
        return Rounds(
            scores=self._advice[index],
            awake=awake,
            forecasts=self._said.forecasts[rows],
            published=published,
            label=label,
            scored_at=self._at[index],
            q=self._q[some],
            used=self._used[rows],
            sign=signs,
        )

    def _time(self, position: int) -> float:
        """When the turn at this position was scored; after the last, when that was."""
        return float(self._at[min(position, len(self._at) - 1)])
