"""How far annotators agree: Krippendorff's alpha, and how often two people say the same, in all and by class. Pure.

Alpha (Krippendorff, "Computing Krippendorff's Alpha-Reliability", 2011) needs no fixed set of annotators: each turn has
the votes that it has. It is 1 where all agree, 0 where they agree as often as chance would have it, and below 0 where
they do so less. With the coincidences o[c, k] of two votes on a turn (each ordered pair counts 1 / (m - 1) of a turn
with m votes), n[c] their row sums and n the sum of all,

    alpha = 1 - (n - 1) * sum over c != k of o[c, k] / sum over c != k of n[c] * n[k]

which for two annotators of many turns is about Cohen's kappa. By class, the others are taken for one. Where chance
gives nothing to compare with, since only one class was ever said, alpha is undefined."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ensemble.policy import CLASSES


@dataclass(frozen=True, slots=True)
class Agreement:
    """Of one class, or of all: `turns` on which at least two voted (of a class: and at least one for it), `same` the
    share of pairs of votes that say the same (of a class: of two people, when one says it, how often the other does),
    `alpha`. None where there is nothing to tell it from."""

    turns: int
    same: float | None
    alpha: float | None


def agreement(turns: Iterable[Sequence[int]], classes: int = len(CLASSES)) -> tuple[Agreement, tuple[Agreement, ...]]:
    """(of all, of each class), from the class indices that people gave each turn; turns with fewer than two tell
    nothing."""
    coincidences = np.zeros((classes, classes))
    shared, with_class = 0, np.zeros(classes, np.int64)
    # People say few things: a hundred thousand turns have a dozen different sets of votes.
    for votes, times in Counter(tuple(sorted(votes)) for votes in turns if len(votes) > 1).items():
        counts = np.bincount(np.asarray(votes, np.intp), minlength=classes)
        coincidences += times * (np.outer(counts, counts) - np.diag(counts)) / (len(votes) - 1)
        shared += times
        with_class += times * (counts > 0)
    total, of_class = float(coincidences.sum()), coincidences.sum(axis=1)
    same = float(np.trace(coincidences)) / total if total else None
    each = tuple(
        Agreement(
            int(with_class[c]),
            float(coincidences[c, c] / of_class[c]) if of_class[c] else None,
            alpha(_one_against_others(coincidences, c)),
        )
        for c in range(classes)
    )
    return Agreement(shared, same, alpha(coincidences)), each


def alpha(coincidences: NDArray[np.float64]) -> float | None:
    """Krippendorff's, nominal, of a symmetric matrix of coincidences [C, C]."""
    of_class = coincidences.sum(axis=1)
    total = of_class.sum()
    expected = total * total - (of_class * of_class).sum()
    if expected <= 0.0:
        return None
    observed = total - np.trace(coincidences)
    return float(1.0 - (total - 1.0) * observed / expected)


def _one_against_others(coincidences: NDArray[np.float64], c: int) -> NDArray[np.float64]:
    both, row = coincidences[c, c], coincidences[c].sum()
    others = coincidences.sum() - 2 * row + both
    return np.array([[both, row - both], [row - both, others]])
