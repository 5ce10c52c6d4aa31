"""What the shipped experts say of the labelled sets, asked once and kept in a file: numbers and classes, no text."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

from experts.executor import Panel
from experts.figures import Floats
from experts.taxonomy import NEEDS_CAUTION, normalised
from stream.commands.progress import counting
from stream.evaluation.data import CAUTION, SAFE, DataSet, Row, find_sets, read_set
from stream.evaluation.scoring import score

Texts = npt.NDArray[np.str_]


@dataclass(frozen=True, eq=False, slots=True)
class Scores:
    """N labelled rows and what K experts said of them."""

    experts: Texts
    """[K] `name@version`."""
    scores: Floats
    """[N, K], NaN where the expert slept."""
    label: npt.NDArray[np.uint8]
    """[N] class indices, see `label_of`."""
    role: Texts
    """[N]"""
    source: Texts
    """[N] the name of the set."""


_FIELDS: Final = tuple(field.name for field in fields(Scores))


def label_of(row: Row) -> int:
    """The class of a row: needs_caution where the set says safe and names that category, so that the permissive policy
    reads every row as the set does.
    """
    cautious = any(normalised(category) == NEEDS_CAUTION for category in row.categories)
    return CAUTION if cautious and row.label == SAFE else row.label


def scored(panel: Panel, sets: Sequence[DataSet]) -> Scores:
    """Asks the panel about every row of every set."""
    rows = [row for one in sets for row in one.rows]
    with counting("scoring", len(rows)) as advance:
        found = [score(panel, one.rows, advance).scores for one in sets]
    return Scores(
        np.array(panel.ids),
        np.concatenate(found).astype(np.float64),
        np.array([label_of(row) for row in rows], np.uint8),
        np.array([row.passage.role for row in rows]),
        np.array([one.name for one in sets for _ in one.rows]),
    )


def remembered(panel: Panel, data: Path, cache: Path) -> Scores:
    """The same from the cache, if these experts were asked about these files before; else they are asked now."""
    sets = find_sets([data])
    digest = hashlib.sha256(repr(panel.ids).encode())
    for name, path in sets:
        digest.update(name.encode() + path.read_bytes())
    kept = cache / f"scores-{digest.hexdigest()[:16]}.npz"
    if not kept.is_file():
        labelled = [one for one in (read_set(name, path) for name, path in sets) if one.rows]
        found = scored(panel, labelled)
        cache.mkdir(parents=True, exist_ok=True)
        np.savez(kept, allow_pickle=False, **{name: getattr(found, name) for name in _FIELDS})
    with np.load(kept) as arrays:
        return Scores(**{name: arrays[name] for name in _FIELDS})
