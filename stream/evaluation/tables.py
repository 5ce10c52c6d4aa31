"""The report on a screen. Figures stand over the interval that holds 95 % of the resamples."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rich.console import Group as Stack
from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from stream.evaluation.results import ENSEMBLE, MEAN, At, Estimate, Figures, Group, Options, Place, Report, Scorer
from stream.rendering import printable

UNDEFINED = "-"
PARTIAL = "*"
NOTE = (
    f"Rows on which a scorer slept are left out of its own figures ({PARTIAL}); `ahead there` compares the ensemble "
    "with it on the rows on which it was awake. The plain mean is also the ensemble before it has learned. "
    f"{UNDEFINED}: not defined on these rows (one class only, or none)."
)


def tables(report: Report) -> Iterator[RenderableType]:
    """All tables: one over the sets where there are several, then of each set its scorers and groups."""
    if len(report.places) > 1:
        yield summary(report)
        yield Text()
    for place in report.places:
        yield scorers(place, report.options)
        yield learned(place)
        for title, groups in (("category", place.categories), ("attack", place.attacks)):
            if groups:
                yield by_group(place, title, groups, report.options)
                yield Text()
    yield Text(NOTE, "dim")


def summary(report: Report) -> Table:
    """AUPRC of every scorer on every set, over all rows and over the rest."""
    table = Table(title=f"AUPRC; below it, after {report.options.after:,} labels", title_justify="left")
    table.add_column("set")
    table.add_column("rows\nunsafe", justify="right")
    for scorer in report.places[0].scorers:
        table.add_column(short(scorer.name), justify="right", style=_style(scorer))
    for place in report.places:
        cells = [f"{auprc(scorer.figures)}\n{auprc(scorer.rest)}" for scorer in place.scorers]
        table.add_row(_name(place.name), f"{place.rows:,}\n{place.unsafe:,}", *cells, end_section=True)
    return table


def scorers(place: Place, options: Options) -> Table:
    """One set: every figure of every scorer."""
    title = Text(f"{printable(place.name)}: {place.rows:,} rows, {place.unsafe:,} unsafe, policy {options.policy}")
    left = [f"{count:,} {why}" for count, why in ((place.unlabelled, "unlabelled"), (place.bad, "bad")) if count]
    table = Table(title=title + Text(f"; left out: {', '.join(left)}" if left else ""), title_justify="left")
    table.add_column("scorer")
    at = f"{options.main_threshold:g}"
    after = f"after {options.after:,} labels\n{place.rest:,} rows"
    for heading in ("rows\nasleep", "AUPRC", "AUROC", f"F1\nat {at}", f"false pos.\nat {at}", f"AUPRC\n{after}"):
        table.add_column(heading, justify="right")
    table.add_column("ensemble\nahead there", justify="right")
    for scorer in place.scorers:
        table.add_row(*_scorer(scorer, options), style=_style(scorer), end_section=True)
    return table


def by_group(place: Place, title: str, groups: Sequence[Group], options: Options) -> Table:
    """The groups of one set: the ensemble, beside the best expert and the plain mean. AUROC, which does not depend on
    how frequent the group is.
    """
    table = Table(title=Text(f"{printable(place.name)}, by {title}"), title_justify="left")
    table.add_column(title)
    for heading in ("rows", "unsafe", "AUROC\nensemble", "plain\nmean", "best\nexpert"):
        table.add_column(heading, justify="right")
    table.add_column("which")
    for heading in ("recall", "false pos."):
        table.add_column(f"{heading}\nensemble", justify="right")
    for group in groups:
        figures = {scorer.name: scorer.figures for scorer in group.scorers}
        name, best = _best(figures)
        at = main(figures[ENSEMBLE], options)
        numbers = (figures[ENSEMBLE].auroc, figures[MEAN].auroc, best)
        counts = (f"{group.rows:,}", f"{group.unsafe:,}")
        rates = (plain(at.recall), plain(at.false_positive_rate))
        table.add_row(_name(group.name), *counts, *map(plain, numbers), short(name), *rates)
    return table


def learned(place: Place) -> RenderableType:
    """What each context believed in the end, a line each."""
    lines = []
    for context in place.contexts:
        standing = sorted(context.experts, key=lambda expert: -expert.weight)
        weights = ", ".join(f"{short(expert.expert)} {expert.weight:.3f}" for expert in standing)
        worst = max(standing, key=lambda expert: expert.regret)
        bound = UNDEFINED if worst.bound is None else f"{worst.bound:.2f}"
        told = f"{context.role}: {context.labels:,} labels; {weights}; regret {worst.regret:.2f} of at most {bound}"
        lines.append(Text(told, "bold red" if context.alarm else "dim"))
    return Stack(*lines, Text())


def main(figures: Figures, options: Options) -> At:
    """The figures at the main threshold."""
    return next(at for at in figures.at if at.threshold == options.main_threshold)


def plain(estimate: Estimate) -> str:
    """The figure alone."""
    return UNDEFINED if estimate.value is None else f"{estimate.value:.3f}"


def auprc(figures: Figures | None) -> str:
    """The area alone, marked where it is not that of all rows."""
    if figures is None:
        return UNDEFINED
    return plain(figures.auprc) + (PARTIAL if figures.asleep and figures.auprc.value is not None else "")


def with_interval(estimate: Estimate, between: str = "\n", sign: str = "") -> str:
    """The figure and its interval."""
    if estimate.value is None:
        return UNDEFINED
    shown = f"{estimate.value:{sign}.3f}"
    if estimate.low is None or estimate.high is None:
        return shown
    return f"{shown}{between}{estimate.low:{sign}.3f} to {estimate.high:{sign}.3f}"


def short(scorer: str) -> str:
    """An expert's name without its version: a panel has each name once."""
    return scorer.rpartition("@")[0] or scorer


def _scorer(scorer: Scorer, options: Options) -> list[str | Text]:
    figures, at = scorer.figures, main(scorer.figures, options)
    estimates = (figures.auprc, figures.auroc, at.f1, at.false_positive_rate)
    rest = with_interval(scorer.rest.auprc) if scorer.rest else UNDEFINED
    ahead = with_interval(scorer.rest_lead, sign="+") if scorer.rest_lead and scorer.kind != "ensemble" else ""
    rows = f"{figures.rows:,}\n{figures.asleep:,}"
    return [_name(short(scorer.name)), rows, *map(with_interval, estimates), rest, ahead]


def _best(figures: dict[str, Figures]) -> tuple[str, Estimate]:
    """The expert with the highest AUROC; no name where none has one."""
    experts = {name: found.auroc for name, found in figures.items() if name not in (ENSEMBLE, MEAN)}
    name = max(experts, key=lambda one: -1.0 if experts[one].value is None else experts[one].value or 0.0)
    return (name, experts[name]) if experts[name].value is not None else ("", Estimate(None))


def _style(scorer: Scorer) -> str:
    return {"expert": "", "mean": "cyan", "ensemble": "bold"}[scorer.kind]


def _name(name: str) -> Text:
    """What a file calls something, as it is and harmless."""
    return Text(printable(name))
