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

from ensemble.rounds import EDGES, M1, Floats, Rounds, statistics
from ensemble.squares import products

TOGETHER: Final = 512
"""Rounds summed at a time: their products (H K P numbers a round) take 0.6 MB with 4 half-lives and 5 experts.
Measured: a seventh faster than 256; at 1024 they fall out of the processor's cache, at half the speed.
"""

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
    cells = rounds.label.astype(np.intp) * bins + np.searchsorted(EDGES, rounds.published, "right") - 1
    sums["histogram"][:] += np.bincount(cells, signed, classes * bins).reshape(classes, bins)


def _parts(labels: NDArray[np.uint8], classes: int) -> Iterator[tuple[int, Index]]:
    """Each class with the places of at most TOGETHER of its rounds."""
    for label in range(classes):
        index = np.flatnonzero(labels == label)
        for start in range(0, len(index), TOGETHER):
            yield label, index[start : start + TOGETHER]


def _add(sums: Mapping[str, Floats], label: int, rounds: Rounds, index: Index, decayed: Floats) -> None:
    """Adds the rounds at index[N], which are of one class, with their weights decayed[H, N]: q, signed and decayed."""
    awake = rounds.awake.take(index, axis=0).T  # [K, N]
    k, everybody = len(awake), bool(awake.all())
    stats = statistics(_scores(rounds, index, awake))
    advised, forecast, published = stats[:, :k], stats[:, k:-1], stats[:, -1]  # [S, K, N], [S, H, N], [S, N]
    if not everybody:
        advised *= awake
    summed = stats @ decayed.T  # [S, K + H + 1, H]; the first half-life never forgets
    sums["expert"][:, :, label] += summed[:, :k].T
    sums["hedge"][:, label] += summed[:, k:-1, 0].T
    sums["total"][:, label] += summed[:, -1].T
    if everybody:
        sums["forecast"][:, :, label] += summed[:, k:-1].diagonal(axis1=1, axis2=2).T[:, None]
        sums["published"][:, label] += summed[:, -1, 0]
    else:
        sums["forecast"][:, :, label] += (awake * decayed[:, None]) @ forecast.transpose(1, 2, 0)
        sums["published"][:, label] += (awake * decayed[0]) @ published.T
    apart = advised[M1:, None] - forecast[M1:, :, None]  # [S - 1, H, K, N]
    if not everybody:
        apart *= awake
    squared = products(apart) @ (decayed * rounds.q.take(index))[..., None]  # [P, H, K, 1]
    sums["squared"][:, :, label] += squared[..., 0].transpose(1, 2, 0)


def _scores(rounds: Rounds, index: Index, awake: NDArray[np.bool_]) -> Floats:
    """[K + H + 1, N]: of the experts (1/2 where asleep, which any finite number could stand for), of the half-lives,
    and as published.
    """
    k, h = len(awake), rounds.forecasts.shape[1]
    scores = np.empty((k + h + 1, len(index)))
    scores[:k] = rounds.scores.take(index, axis=0).T
    scores[:k][~awake] = 0.5
    scores[k:-1] = rounds.forecasts.take(index, axis=0).T
    scores[-1] = rounds.published.take(index)
    return scores
