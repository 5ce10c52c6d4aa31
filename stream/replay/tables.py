"""A replay on a screen."""

from __future__ import annotations

from collections.abc import Iterator

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from stream.rendering import printable
from stream.replay.results import Phase, Replay, Run
from stream.replay.wording import figure, input_in_words, tried_in_words

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
    yield Text(NOTE, "dim")


def _table(run: Run) -> Table:
    table = Table(title=Text(f"forecaster: {run.forecaster}"), title_justify="left")
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


def _each(loss: float, rounds: float) -> str:
    return f"{loss / rounds:.3f}" if rounds else "-"
