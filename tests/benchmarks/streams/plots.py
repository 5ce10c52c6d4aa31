"""The drifting stream as a picture: weights over its turns, and loss beyond the best expert of each phase."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from benchmarks.streams.courses import Course
from benchmarks.streams.measuring import best_expert, losses
from experts.figures import Floats
from stream.evaluation.plots import COLOURS, DPI, POINTS, SIZE
from stream.evaluation.tables import short

if TYPE_CHECKING:  # imported when a plot is drawn: it takes a second
    from matplotlib.axes import Axes


def excess(course: Course, scores: Floats) -> Floats:
    """[N] cumulative loss minus that of the expert that is best over the phase, phase by phase."""
    best = np.concatenate([course.scores[one.rows, best_expert(course, one.rows)] for one in course.phases])
    return np.cumsum(losses(course, scores) - losses(course, best))


def draw(course: Course, weights: Floats, said: Mapping[str, Floats], file: Path) -> None:
    """Writes the picture: weights[N, K], and the scores of each rule, the first of which is drawn in black."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(2 * SIZE[0], SIZE[1]), layout="constrained")
    left, right = figure.subplots(1, 2)
    turns = np.unique(np.linspace(0, len(weights) - 1, POINTS).astype(np.intp))
    for column, expert in enumerate(course.experts.tolist()):
        left.plot(
            turns, weights[turns, column], color=COLOURS[column % len(COLOURS)], linewidth=1.3, label=short(expert)
        )
    left.set(title="Weights in the published score", ylim=(0, 1.02))
    for number, (rule, scores) in enumerate(said.items()):
        colour, width = ("black", 2.2) if number == 0 else (COLOURS[number - 1], 1.3)
        right.plot(turns, excess(course, scores)[turns], color=colour, linewidth=width, label=rule)
    right.set(title="Cumulative Brier loss beyond the best expert of each phase")
    for axes in (left, right):
        _frame(axes, course)
    figure.savefig(file, dpi=DPI, metadata={"Software": None})


def _frame(axes: Axes, course: Course) -> None:
    axes.grid(color="#e6e6e6", linewidth=0.6)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    for phase in course.phases:
        axes.axvline(phase.start, color="#999999", linewidth=0.8, linestyle=":")
        middle = (phase.start + phase.stop) / 2
        name = axes.text(middle, 0.99, phase.name.replace(", ", "\n"), transform=axes.get_xaxis_transform())
        name.set(ha="center", va="top", fontsize="x-small", color="#777777")
    axes.set_xlabel("turns")
    axes.legend(frameon=False, fontsize="small", loc="center right")
