"""A replay on a screen."""

from __future__ import annotations

from collections.abc import Iterator

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from stream.records import LABELS
from stream.rendering import STYLES, printable
from stream.replay.results import Candidate, Compared, Phase, Replay, Run
from stream.replay.wording import changes_in_words, figure, input_in_words, tried_in_words

MOST_SHOWN = 12
"""Contexts of a forecaster on a screen: the busiest."""
NOTE = (
    "Losses are sums over labelled rounds: the ensemble's over all, an expert's over those in which it was awake, as "
    "the regret to it is. The ratio is the largest part of its bound that a regret is: above 1 is an alarm, at or "
    "below 0 the ensemble beats every expert. D is how many labels were missing, summed over the labelled rounds."
)


def tables(found: Replay) -> Iterator[RenderableType]:
    """What was read and tried, and a table for each forecaster."""
    yield Text(printable(input_in_words(found.read)))
    yield Text(printable(tried_in_words(found)))
    for run in found.runs:
        yield Text()
        yield _table(run)
        if (more := len(run.phases) - MOST_SHOWN) > 0:
            yield Text(f"{more:,} more are in what --json and --out write.")
    if found.candidate is not None:
        yield Text()
        yield _effects(found.candidate)
    for run in found.runs:
        for one in run.compared if run.candidate != "without" else ():
            yield Text()
            yield from _compared(run, one)
    yield Text(NOTE, "dim")


def _table(run: Run) -> Table:
    table = Table(title=Text(f"forecaster: {printable(run.title)}"), title_justify="left")
    table.add_column("context", overflow="fold")
    table.add_column("scorer", overflow="fold")
    for heading in ("labelled", "weight", "loss", "a label", "regret", "bound", "ratio", "D"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("state", no_wrap=True)
    for phase in run.phases[:MOST_SHOWN]:
        _add(table, phase)
    return table


def _add(table: Table, phase: Phase) -> None:
    since = [f"from turn {phase.since:,}"] if phase.since else []
    beside = iter([printable(phase.policy), *since, f"{phase.turns:,} turns"])
    state = Text("ALARM", "bold red") if phase.alarm else Text("under its bound")
    table.add_row(
        Text(printable(phase.context), "bold"), Text("ensemble", "bold"), f"{phase.rounds:,}", "", figure(phase.loss),
        _each(phase.loss, phase.weighed), figure(phase.regret), figure(phase.bound), f"{phase.ratio:.3f}",
        f"{phase.delay:,.0f}", state,
    )  # fmt: skip
    for standing in phase.experts:
        what = "shadow" if standing.shadow else "best" if standing.expert == phase.best else ""
        weight = "" if standing.shadow else f"{standing.weight:.3f}"
        heard = standing.labelled > 0.0
        losses = (figure(standing.loss), _each(standing.loss, standing.labelled), figure(standing.regret))
        table.add_row(
            Text(next(beside, "")), Text(printable(standing.expert)), f"{standing.labelled:,.0f}", weight,
            *(losses if heard else "---"), figure(standing.bound) if heard else "-", "", "",
            Text(what if heard else "slept"),
        )  # fmt: skip
    table.add_section()


def _effects(candidate: Candidate) -> Table:
    """What the candidate came to, the busiest contexts first."""
    table = Table(title=Text(f"What {printable(candidate.id)} would have added"), title_justify="left")
    for heading in ("context", "policy, forecaster"):
        table.add_column(heading, overflow="fold")
    for heading in ("labelled", "loss without", "loss with", "a label", "its own, a label", "its weight", "regret"):
        table.add_column(heading, justify="right", no_wrap=True)
    for one in candidate.effects[:MOST_SHOWN]:
        change = (one.loss_with - one.loss_without) / one.rounds if one.rounds else 0.0
        table.add_row(
            Text(printable(one.context), "bold"), Text(printable(f"{one.policy}, {one.forecaster}")), f"{one.rounds:,}",
            figure(one.loss_without), figure(one.loss_with), f"{change:+.4f}", _each(one.own_loss, one.labelled),
            f"{one.weight:.3f}", figure(one.regret),
        )  # fmt: skip
    return table


def _compared(run: Run, one: Compared) -> Iterator[RenderableType]:
    """Which labels change into which, and what people said."""
    yield Text(printable(changes_in_words(run, one)), "bold")
    if one.pairs:
        table = Table("from", "to", title_justify="left")
        for heading in ("turns", "labelled", "nearer to people", "farther"):
            table.add_column(heading, justify="right", no_wrap=True)
        for pair in one.pairs:
            figures = (f"{count:,}" for count in (pair.turns, pair.labelled, pair.nearer, pair.farther))
            table.add_row(Text(pair.before, STYLES[pair.before]), Text(pair.after, STYLES[pair.after]), *figures)
        yield table
    if one.agreement and one.changed:
        yield _agreement(one)


def _agreement(one: Compared) -> Table:
    """Labelled turns by the class that people gave, and how each was decided."""
    table = Table("people said", title_justify="left")
    for heading in ("turns", *(f"{when}: {label}" for label in LABELS for when in ("before", "now"))):
        table.add_column(heading, justify="right")
    for row in one.agreement:
        counts = (f"{side[label]:,}" for label in LABELS for side in (row.before, row.after))
        table.add_row(Text(row.label, STYLES[row.label]), f"{row.turns:,}", *counts)
    return table


def _each(loss: float, rounds: float) -> str:
    return f"{loss / rounds:.3f}" if rounds else "-"
