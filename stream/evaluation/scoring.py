"""What every expert says of every row, asked once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from ensemble.policy import Policy
from experts.base import Advice, Passage
from experts.figures import Floats, Labels
from stream.evaluation.data import Row

TOGETHER = 128
"""Rows asked about at once: enough for an expert to sort by length, few enough that a progress bar moves."""


class Panel(Protocol):
    """What is needed of `experts.executor.Panel`."""

    @property
    def ids(self) -> tuple[str, ...]: ...

    def advise(self, passages: Sequence[Passage]) -> Advice: ...


@dataclass(frozen=True, eq=False, slots=True)
class Scored:
    """N labelled rows and what K experts said of them, in an order that labels come in."""

    experts: tuple[str, ...]
    """[K] `name@version`."""
    rows: tuple[Row, ...]
    scores: npt.NDArray[np.float32]
    """[N, K], NaN where the expert slept."""

    @property
    def awake(self) -> Labels:
        """[N, K]: who advised on what."""
        return ~np.isnan(self.scores)

    @property
    def mean(self) -> Floats:
        """[N] the plain mean of those awake, which is also what the ensemble says before it has learned anything; NaN
        where nobody was.
        """
        count = self.awake.sum(axis=1)
        total = np.nansum(self.scores.astype(np.float64), axis=1)
        result: Floats = np.divide(total, count, out=np.full(len(count), np.nan), where=count > 0)
        return result

    def unsafe(self, policy: Policy) -> Labels:
        """[N] which rows the policy counts as unsafe: needs_caution is what its target says."""
        targets = np.array(policy.targets)
        return np.asarray(targets[[row.label for row in self.rows]] >= 0.5) if self.rows else np.zeros(0, bool)

    def take(self, order: npt.NDArray[np.intp]) -> Scored:
        """The same rows in another order, or some of them."""
        return Scored(self.experts, tuple(self.rows[index] for index in order), self.scores[order])


def score(panel: Panel, rows: Sequence[Row], advance: Callable[[int], None]) -> Scored:
    """Asks the panel about every row; `advance` is told how many rows are done."""
    scores = np.full((len(rows), len(panel.ids)), np.nan, np.float32)
    for start in range(0, len(rows), TOGETHER):
        passages: list[Passage] = [row.passage for row in rows[start : start + TOGETHER]]
        advice = panel.advise(passages)
        scores[start : start + len(passages)] = np.where(advice.awake, advice.scores, np.nan)
        advance(len(passages))
    return Scored(panel.ids, tuple(rows), scores)


def together(several: Sequence[Scored]) -> Scored:
    """The rows of several sets that the same experts were asked about, one after the other."""
    rows = tuple(row for one in several for row in one.rows)
    return Scored(several[0].experts, rows, np.concatenate([one.scores for one in several]))
