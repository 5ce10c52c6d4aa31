"""From scores to what is reported of them: figures of every scorer, on all rows, on the rest, and by group."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np

from ensemble.policy import Policy
from experts import figures as measured
from experts.figures import Counts, Floats, Labels
from stream.evaluation.data import Row
from stream.evaluation.online import Adapted, Standing
from stream.evaluation.results import (
    ENSEMBLE,
    MEAN,
    At,
    Context,
    Estimate,
    Figures,
    Group,
    GroupScorer,
    Kind,
    Learned,
    Options,
    Place,
    Scorer,
    number,
)
from stream.evaluation.scoring import Scored


def thresholds_of(policy: Policy, asked: Iterable[float] = ()) -> tuple[tuple[float, ...], float]:
    """The thresholds to measure at, and the main one.

    The policy's is where a verdict flags what the policy counts as unsafe: `unsafe_at`, or `caution_at` where
    needs_caution is unsafe. 0.5 is always among them; the first one asked for is the main one.
    """
    own = policy.caution_at if policy.targets[1] >= 0.5 else policy.unsafe_at
    chosen = list(asked)
    return tuple(sorted({0.5, *(chosen or [own])})), (chosen or [own])[0]


def scores_of(scored: Scored, adapted: Adapted) -> dict[str, Floats]:
    """Every scorer's [N] by name, NaN where it said nothing: the experts, their mean, the ensemble."""
    experts = scored.scores.astype(np.float64)
    each = {expert: experts[:, column] for column, expert in enumerate(scored.experts)}
    return each | {MEAN: scored.mean, ENSEMBLE: adapted.scores}


@dataclass(frozen=True, eq=False)
class Table:
    """The scores of every scorer on N rows, and the resamples that all of them share, so that they can be compared."""

    names: tuple[tuple[str, Kind], ...]
    scores: Mapping[str, Floats]
    """[N] by name, NaN where the scorer said nothing."""
    unsafe: Labels
    thresholds: tuple[float, ...]
    counts: Counts
    """[N, B]"""
    _known: dict[tuple[str, bool, bytes], tuple[measured.Figures, measured.Figures]] = field(default_factory=dict)

    @classmethod
    def of(cls, scored: Scored, adapted: Adapted, policy: Policy, options: Options) -> Table:
        """The experts in their order, their mean, and the ensemble."""
        names: list[tuple[str, Kind]] = [(expert, "expert") for expert in scored.experts]
        scores = scores_of(scored, adapted)
        counts = measured.resamples(len(scored.rows), options.resamples, options.seed)
        return cls(
            (*names, (MEAN, "mean"), (ENSEMBLE, "ensemble")), scores, scored.unsafe(policy), options.thresholds, counts
        )

    def figures(self, name: str, among: Labels, intervals: bool = True) -> Figures:
        """Of one scorer on those of the rows among[N] on which it was awake."""
        awake = among & np.isfinite(self.scores[name])
        point, drawn = self._found(name, awake, intervals)
        at = [
            At(
                threshold,
                _estimate(point.f1[row], drawn.f1[row]),
                _estimate(point.recall[row], drawn.recall[row]),
                _estimate(point.false_positive_rate[row], drawn.false_positive_rate[row]),
            )
            for row, threshold in enumerate(self.thresholds)
        ]
        return Figures(
            rows=int(awake.sum()),
            unsafe=int(self.unsafe[awake].sum()),
            asleep=int(among.sum() - awake.sum()),
            auprc=_estimate(point.auprc, drawn.auprc),
            auroc=_estimate(point.auroc, drawn.auroc),
            at=tuple(at),
        )

    def lead(self, name: str, among: Labels) -> Estimate:
        """AUPRC of the ensemble minus that of a scorer, on the rows on which the scorer was awake."""
        awake = among & np.isfinite(self.scores[name])
        (ours, ours_drawn), (its, its_drawn) = (self._found(who, awake, True) for who in (ENSEMBLE, name))
        return _estimate(ours.auprc - its.auprc, ours_drawn.auprc - its_drawn.auprc)

    def _found(self, name: str, rows: Labels, intervals: bool) -> tuple[measured.Figures, measured.Figures]:
        """The figures as they are, and of the resamples (none without intervals)."""
        key = name, intervals, rows.tobytes()
        if key in self._known:
            return self._known[key]
        scores, unsafe = self.scores[name][rows], self.unsafe[rows]
        counts = self.counts[rows] if intervals else self.counts[rows, :0]
        point = measured.figures(scores, unsafe, self.thresholds)
        return self._known.setdefault(key, (point, measured.figures(scores, unsafe, self.thresholds, counts)))


def place(name: str, scored: Scored, adapted: Adapted, policy: Policy, options: Options, by_group: bool) -> Place:
    """Everything about one set or mix. `by_group`: also by category and by attack."""
    table = Table.of(scored, adapted, policy, options)
    every = np.ones(len(scored.rows), bool)
    rest = np.asarray(adapted.read >= options.after)
    groups = _Groups(table, scored.rows) if by_group else None
    return Place(
        name=name,
        rows=len(scored.rows),
        unsafe=int(table.unsafe.sum()),
        unlabelled=0,
        bad=0,
        rest=int(rest.sum()),
        scorers=tuple(_scorer(table, who, kind, every, rest) for who, kind in table.names),
        categories=groups.of(lambda row: row.categories, against_safe=True) if groups else (),
        attacks=groups.of(lambda row: (row.attack,) if row.attack else (), against_safe=False) if groups else (),
        contexts=tuple(_context(role, scored.experts, told[-1]) for role, told in adapted.contexts.items()),
    )


def _scorer(table: Table, name: str, kind: Kind, every: Labels, rest: Labels) -> Scorer:
    some = bool(rest.any())
    return Scorer(
        name,
        kind,
        table.figures(name, every),
        table.lead(name, every),
        table.figures(name, rest) if some else None,
        table.lead(name, rest) if some else None,
    )


class _Groups:
    """The figures of rows that share a mark."""

    def __init__(self, table: Table, rows: tuple[Row, ...]) -> None:
        self._table = table
        self._rows = rows

    def of(self, marks: Callable[[Row], tuple[str, ...]], against_safe: bool) -> tuple[Group, ...]:
        """One for each mark, the most frequent first."""
        members: dict[str, list[int]] = {}
        for index, row in enumerate(self._rows):
            for mark in marks(row):
                members.setdefault(mark, []).append(index)
        ordered = sorted(members.items(), key=lambda item: (-len(item[1]), item[0]))
        return tuple(self._group(mark, indices, against_safe) for mark, indices in ordered)

    def _group(self, name: str, indices: list[int], against_safe: bool) -> Group:
        own = np.zeros(len(self._rows), bool)
        own[indices] = True
        unsafe = int(self._table.unsafe[own].sum())
        ranked = own | ~self._table.unsafe if against_safe and unsafe else own
        found = tuple(GroupScorer(who, self._figures(who, own, ranked)) for who, _ in self._table.names)
        return Group(name, len(indices), unsafe, found)

    def _figures(self, name: str, own: Labels, ranked: Labels) -> Figures:
        intervals = name == ENSEMBLE
        of_own = self._table.figures(name, own, intervals)
        if ranked is own:
            return of_own
        against = self._table.figures(name, ranked, intervals)
        at = [
            At(mine.threshold, theirs.f1, mine.recall, mine.false_positive_rate)
            for mine, theirs in zip(of_own.at, against.at, strict=True)
        ]
        return Figures(of_own.rows, of_own.unsafe, of_own.asleep, against.auprc, against.auroc, tuple(at))


def _context(role: str, experts: tuple[str, ...], standing: Standing) -> Context:
    columns = zip(experts, standing.weights, standing.regret, standing.bounds, strict=True)
    learned = [
        Learned(expert, number(weight) or 0.0, number(regret) or 0.0, number(bound))
        for expert, weight, regret, bound in columns
    ]
    return Context(role, standing.labels, standing.alarm, tuple(learned))


def _estimate(point: Floats, drawn: Floats) -> Estimate:
    """A figure [1] and its values in the resamples [B]."""
    value = number(point.item())
    if value is None:
        return Estimate(value)
    low, high = measured.interval(drawn)
    return Estimate(value, number(low), number(high))
