"""From what was said to how far it was from the labels."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from benchmarks.streams.courses import Course, Phase
from benchmarks.streams.results import Stretch
from experts.figures import Floats, Labels, figures


def losses(course: Course, scores: Floats) -> Floats:
    """The Brier loss of scores[N, ...] in each turn, under the policy of its phase."""
    target = course.target.reshape(-1, *[1] * (scores.ndim - 1))
    return np.square(scores - target)


def auprc(course: Course, scores: Floats) -> float:
    """Area under precision and recall, on the turns on which something was said."""
    heard = np.isfinite(scores)
    return float(figures(scores[heard], course.target[heard] >= 0.5).auprc.item())


def stretches(course: Course, comes: Labels, scores: Floats, after: int) -> Iterator[Stretch]:
    """Each phase from the turn on before which `after` of its labels had come."""
    for phase in course.phases:
        yield _stretch(course, phase, settled(comes, phase, after), scores)


def settled(comes: Labels, phase: Phase, after: int) -> slice:
    """The turns of a phase before which `after` of its labels had come; none where it has too few."""
    came = np.flatnonzero(comes[phase.rows])
    start = phase.start + (0 if after == 0 else int(came[after - 1]) + 1) if len(came) >= after else phase.stop
    return slice(start, phase.stop)


def best_expert(course: Course, rows: slice) -> int:
    """The expert with the least loss over these turns, of those awake in all of them."""
    means = np.where(course.awake[rows].all(axis=0), losses(course, course.filled)[rows].mean(axis=0), np.inf)
    return int(means.argmin())


def _stretch(course: Course, phase: Phase, rows: slice, scores: Floats) -> Stretch:
    turns = rows.stop - rows.start
    heard = np.isfinite(scores[rows])
    if not turns or not heard.all():
        return Stretch(phase.name, 0)
    best = best_expert(course, rows)
    loss, of_best = (float(losses(course, one)[rows].mean()) for one in (scores, course.scores[:, best]))
    return Stretch(phase.name, turns, loss, str(course.experts[best]), of_best)
