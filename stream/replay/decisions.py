"""What a replay decides beside what was decided before: label by label, and beside what people said."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

import numpy as np
import numpy.typing as npt
from msgspec import Struct

from stream.records import LABELS, LabelName
from stream.replay.results import Agreement, Compared, Pair
from stream.replay.stream import Stream
from stream.simulation import UNLABELLED, Simulated

Before = npt.NDArray[np.int8]
"""[N] classes, UNLABELLED where nothing was decided."""


class ChangedTurn(Struct, frozen=True):
    """A line of `--changes`: a turn that is decided otherwise here than in its verdict, or than without the candidate.
    `people` is the class that they gave, null where none is learned."""

    turn_id: str
    tenant: str
    context: str
    forecaster: str
    published: LabelName | None
    without: LabelName | None
    replayed: LabelName
    score: float | None
    people: LabelName | None


def compared(than: Literal["published", "without"], before: Before, said: Simulated, stream: Stream) -> Compared:
    """Every turn that has both."""
    known = before != UNLABELLED
    old, new, people = before[known], said.labels[known].astype(np.int8), stream.classes[known]
    pairs = tuple(
        _pair(first, second, people[(old == first) & (new == second)])
        for first in range(len(LABELS))
        for second in range(len(LABELS))
        if first != second and ((old == first) & (new == second)).any()
    )
    agreement = tuple(
        Agreement(label, int((people == place).sum()), _counted(old[people == place]), _counted(new[people == place]))
        for place, label in enumerate(LABELS)
        if (people == place).any()
    )
    return Compared(than, len(old), int((old != new).sum()), pairs, agreement)


def _pair(before: int, after: int, people: npt.NDArray[np.int8]) -> Pair:
    """`people`: the classes of these turns."""
    labelled = people[people != UNLABELLED]
    closer = np.abs(labelled - before) - np.abs(labelled - after)
    return Pair(
        LABELS[before], LABELS[after], len(people), len(labelled), int((closer > 0).sum()), int((closer < 0).sum())
    )


def _counted(classes: npt.NDArray[np.int8]) -> dict[LabelName, int]:
    return {label: int((classes == place).sum()) for place, label in enumerate(LABELS)}


def changed_turns(stream: Stream, said: Simulated, without: Simulated | None, forecaster: str) -> Iterator[ChangedTurn]:
    """Those of one run, in the order of the turns; none of a stream whose turns have no names."""
    for row, (tenant, turn_id) in enumerate(stream.ids):
        published, after = int(stream.decided[row]), int(said.labels[row])
        other = UNLABELLED if without is None else int(without.labels[row])
        if {published, other} <= {UNLABELLED, after}:
            continue
        score, context = float(said.published[row]), stream.turns.context[row]
        yield ChangedTurn(
            turn_id, tenant, context, forecaster, _label(published), _label(other), LABELS[after],
            None if np.isnan(score) else score, _label(int(stream.classes[row])),
        )  # fmt: skip


def _label(place: int) -> LabelName | None:
    return None if place == UNLABELLED else LABELS[place]
