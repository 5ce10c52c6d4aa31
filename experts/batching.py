"""Plans batches by padded tokens, of texts of about one length."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
import numpy.typing as npt

# Padded tokens in a batch. On a CPU larger batches are slower than batches of one (34 texts/s at 128 unsorted against
# 149 at 1, two cores); between 128 and 512 nothing differs. A GPU wants far more work at a time.
CPU_BUDGET: Final = 512
CUDA_BUDGET: Final = 16384


def plan(lengths: Sequence[int], budget: int) -> list[npt.NDArray[np.intp]]:
    """The row numbers of each batch: every row once, sorted by length, at most `budget` padded tokens or one row a
    batch.
    """
    order = np.argsort(np.asarray(lengths), kind="stable")
    batches, start = [], 0
    for position, row in enumerate(order):
        # Sorted ascending, so this row would be the batch's longest.
        if position > start and (position - start + 1) * lengths[row] > budget:
            batches.append(order[start:position])
            start = position
    if len(order):
        batches.append(order[start:])
    return batches


def padded(rows: Sequence[Sequence[int]], least: int = 1, pad: int = 0) -> npt.NDArray[np.int64]:
    """int64[N, longest], at least `least` wide, filled up with `pad` on the right."""
    width = max(least, max(map(len, rows)))
    result = np.full((len(rows), width), pad, np.int64)
    for index, row in enumerate(rows):
        result[index, : len(row)] = row
    return result
