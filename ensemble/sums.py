"""Rounds to sums: the loop over labels, as few passes over memory and few matrix products.

The rounds of one class are taken together, so that no sum is spent on the classes that they are not of; N is the last
axis, so that every operation runs along memory; and TOGETHER rounds at a time, so that their products stay in the
processor's cache. Decay refers to one time for all of them, so nothing is rescaled in between.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

import numpy as np
from numpy.typing import NDArray

from ensemble.rounds import M1, Floats, Rounds, statistics
from ensemble.squares import products

TOGETHER: Final = 1024
"""Rounds summed at a time: their products under one half-life (K P numbers a round) take 0.3 MB with 5 experts."""

Index = NDArray[np.intp]


def add(sums: Mapping[str, Floats], rounds: Rounds, half_lives: tuple[float, ...], at: float) -> None:
    """Adds rounds, in each of which somebody was awake, to arrays of the shapes that `moments.shapes` gives, decayed to
    the unix seconds `at`.
    """
    signed = rounds.sign * rounds.q
    for label, index in _parts(rounds.label, len(sums["importance"])):
        decay = np.exp2((rounds.scored_at[index] - at) / np.array(half_lives)[:, None])
        _add(sums, label, rounds, index, signed[index] * decay)
    sums["importance"][:] += np.bincount(rounds.label, signed * rounds.q, len(sums["importance"]))
    classes, bins = sums["histogram"].shape
    cells = rounds.label.astype(np.intp) * bins + np.minimum((rounds.published * bins).astype(np.intp), bins - 1)
    sums["histogram"][:] += np.bincount(cells, signed, classes * bins).reshape(classes, bins)


def _parts(labels: NDArray[np.uint8], classes: int) -> Iterator[tuple[int, Index]]:
    """Each class with the places of at most TOGETHER of its rounds."""
    for label in range(classes):
        index = np.flatnonzero(labels == label)
        for start in range(0, len(index), TOGETHER):
            yield label, index[start : start + TOGETHER]


def _add(sums: Mapping[str, Floats], label: int, rounds: Rounds, index: Index, decayed: Floats) -> None:
    """Adds the rounds at index[N], which are of one class, with their weights decayed[H, N]: q, signed and decayed."""
    awake = rounds.awake[index].T.astype(np.float64)  # [K, N]
    advice = np.where(awake, rounds.scores[index].T, 0.5)
    k = len(advice)
    stats = statistics(np.concatenate((advice, rounds.forecasts[index].T, rounds.published[index][None])))
    advised, forecast, published = stats[:, :k], stats[:, k:-1], stats[:, -1]  # [S, K, N], [S, H, N], [S, N]
    all_awake = bool(awake.all())
    if not all_awake:
        advised *= awake
    summed = stats @ decayed.T  # [S, K + H + 1, H]; the first half-life never forgets
    sums["expert"][:, :, label] += summed[:, :k].T
    sums["hedge"][:, label] += summed[:, k:-1, 0].T
    sums["total"][:, label] += summed[:, -1].T
    if all_awake:
        sums["forecast"][:, :, label] += summed[:, k:-1].diagonal(axis1=1, axis2=2).T[:, None]
        sums["published"][:, label] += summed[:, -1, 0]
    else:
        sums["forecast"][:, :, label] += (awake * decayed[:, None]) @ forecast.transpose(1, 2, 0)
        sums["published"][:, label] += (awake * decayed[0]) @ published.T
    for h, weights in enumerate(decayed * rounds.q[index]):
        apart = advised[M1:] - forecast[M1:, h, None]
        if not all_awake:
            apart *= awake
        sums["squared"][h, :, label] += (products(apart) @ weights).T
