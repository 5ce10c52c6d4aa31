"""Plots of one place, as PNG files: precision-recall, reliability, weights by labels, regret against its bound."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np

from experts.figures import Floats, Labels, figures
from stream.evaluation.measuring import scores_of
from stream.evaluation.online import Standing
from stream.evaluation.results import ENSEMBLE, MEAN, Options
from stream.evaluation.runner import Course
from stream.evaluation.tables import short
from stream.report.charts import reliability_bins

if TYPE_CHECKING:  # imported when a plot is drawn: it takes a second
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLOURS: Final = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#F0E442")
"""Told apart by colour-blind people too: Okabe & Ito, "Color universal design", 2008. Black is the ensemble's own."""
DASHES: Final = ("-", "--", "-.", ":")
"""The next one when the colours are used up."""
POINTS: Final = 400
"""Of a curve: as many as its width has pixels."""
DPI: Final = 110
SIZE: Final = (6.4, 4.4)
"""Inches of one panel."""


def draw(course: Course, options: Options, folder: Path) -> list[Path]:
    """Writes the four plots of a place and returns their files."""
    name, written = course.place.name, []
    shown = name.replace("$", r"\$")  # a dollar would begin a formula
    for kind, plot in _PLOTS.items():
        figure = plot(course, options, shown)
        file = folder / f"{re.sub(r'[^A-Za-z0-9._-]+', '-', name)}-{kind}.png"
        figure.savefig(file, dpi=DPI, metadata={"Software": None})
        written.append(file)
    return written


def curve(scores: Floats, unsafe: Labels) -> tuple[Floats, Floats]:
    """(recall, precision) at each distinct score from the highest, thinned to about POINTS."""
    order = np.argsort(-scores, kind="stable")
    ends = np.flatnonzero(np.append(np.diff(scores[order]) != 0, True))
    hits = np.cumsum(unsafe[order])[ends]
    step = max(1, len(ends) // POINTS)
    kept = np.append(np.arange(0, len(ends) - 1, step), len(ends) - 1)
    return (hits / max(1, int(unsafe.sum())))[kept], (hits / (ends + 1))[kept]


def _precision_recall(course: Course, options: Options, name: str) -> Figure:
    figure, (axes,) = _panels(1)
    unsafe = course.scored.unsafe(course.policy)
    for scorer, scores in scores_of(course.scored, course.adapted).items():
        heard = np.isfinite(scores)
        if unsafe[heard].any() and not unsafe[heard].all():
            area = figures(scores[heard], unsafe[heard]).auprc.item()
            _line(axes, course, scorer, *curve(scores[heard], unsafe[heard]), f"{short(scorer)} ({area:.3f})")
    axes.axhline(float(unsafe.mean()), color="#999999", linewidth=0.8, linestyle=":", label="share of unsafe rows")
    axes.set(title=f"Precision and recall, {name}", xlabel="recall", ylabel="precision", xlim=(0, 1), ylim=(0, 1.02))
    _legend(axes)
    return figure


def _reliability(course: Course, options: Options, name: str) -> Figure:
    figure, (axes,) = _panels(1)
    axes.plot([0, 1], [0, 1], color="#999999", linewidth=0.8, linestyle=":", label="a score is a probability")
    unsafe = course.scored.unsafe(course.policy).tolist()
    for scorer, scores in scores_of(course.scored, course.adapted).items():
        bins = reliability_bins(zip(scores.tolist(), unsafe, strict=True))
        means, shares = np.array([one.mean_score for one in bins]), np.array([one.share for one in bins])
        _line(axes, course, scorer, means, shares, short(scorer), marker="o")
    axes.set(title=f"Reliability, {name}", xlabel="mean score of a tenth", ylabel="share that is unsafe")
    axes.set(xlim=(0, 1), ylim=(0, 1.02))
    _legend(axes)
    return figure


def _weights(course: Course, options: Options, name: str) -> Figure:
    def panel(axes: Axes, standings: Sequence[Standing]) -> None:
        labels = np.array([one.labels for one in standings])
        for column, expert in enumerate(course.scored.experts):
            _line(axes, course, expert, labels, np.array([one.weights[column] for one in standings]), short(expert))
        axes.set(ylim=(0, 1.02), ylabel="weight when all are awake")

    return _by_context(course, panel, f"Weights, {name}")


def _regret(course: Course, options: Options, name: str) -> Figure:
    def panel(axes: Axes, standings: Sequence[Standing]) -> None:
        labels = np.array([one.labels for one in standings])
        regret = np.array([one.regret for one in standings])
        for column, expert in enumerate(course.scored.experts):
            _line(axes, course, expert, labels, regret[:, column], f"to {short(expert)}")
        worst = regret.argmax(axis=1)
        bounds = np.array([one.bounds[index] for one, index in zip(standings, worst, strict=True)])
        if np.isfinite(bounds).all():
            axes.plot(labels, bounds, color="black", linewidth=1.4, linestyle="--", label="bound on the largest")
            low = float(regret.max(axis=1).min(initial=0.0))
            axes.set_ylim(min(low, 0.0) - 0.5 * float(bounds.max()), 1.1 * float(bounds.max()))
        axes.set(ylabel="regret, in units of loss")

    return _by_context(course, panel, f"Regret and its bound, {name}")


_PLOTS: Final[Mapping[str, Callable[[Course, Options, str], Figure]]] = {
    "precision-recall": _precision_recall,
    "reliability": _reliability,
    "weights": _weights,
    "regret": _regret,
}


def _by_context(course: Course, panel: Callable[[Axes, Sequence[Standing]], None], title: str) -> Figure:
    """One panel for each role."""
    figure, every = _panels(len(course.adapted.contexts))
    for axes, (role, standings) in zip(every, course.adapted.contexts.items(), strict=True):
        panel(axes, standings)
        axes.set(title=f"{title}: {role}", xlabel="labels learned")
        _legend(axes)
    return figure


def _panels(count: int) -> tuple[Figure, list[Axes]]:
    from matplotlib.figure import Figure

    width, height = SIZE
    figure = Figure(figsize=(width * count, height), layout="constrained")
    panels = [figure.add_subplot(1, count, number + 1) for number in range(count)]
    for axes in panels:
        axes.grid(color="#e6e6e6", linewidth=0.6)
        axes.set_axisbelow(True)
        axes.spines[["top", "right"]].set_visible(False)
    return figure, panels


def _legend(axes: Axes) -> None:
    axes.legend(frameon=False, fontsize="small")


def _line(axes: Axes, course: Course, scorer: str, x: Floats, y: Floats, label: str, marker: str = "") -> None:
    colour, width, dash = _look(course, scorer)
    axes.plot(x, y, color=colour, linewidth=width, linestyle=dash, marker=marker, markersize=3, label=label)


def _look(course: Course, scorer: str) -> tuple[str, float, str]:
    """(colour, line width, dash)."""
    if scorer == ENSEMBLE:
        return "black", 2.2, "-"
    if scorer == MEAN:
        return "#777777", 1.6, "--"
    number = course.scored.experts.index(scorer)
    return COLOURS[number % len(COLOURS)], 1.3, DASHES[number // len(COLOURS) % len(DASHES)]
