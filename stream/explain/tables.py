"""An explanation on a screen."""

from __future__ import annotations

from collections.abc import Iterator

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from stream.explain.results import Decided, Explanation, Share, Taught
from stream.records import Threshold
from stream.rendering import STYLES, printable


def tables(told: Explanation) -> Iterator[RenderableType]:
    """The verdict and why, then who carried it, then what people said, then today."""
    yield _head(told)
    yield Text()
    yield _experts(told)
    yield Text(_adds_up(told), "" if told.recomputed.agrees else "bold red")
    yield Text()
    yield _today(told)
    yield Text()
    yield from _labels(told)
    if told.taught is not None:
        yield from _taught(told.taught)
    if told.text is not None:
        yield Text("\nThe text:", "bold")
        yield Text("\n".join(map(printable, told.text.splitlines())))
    for note in told.notes:
        yield Text(f"Not known: {printable(note)}.", "dim")


def _head(told: Explanation) -> Table:
    table = Table(box=None, show_header=False)
    table.add_column(style="dim", no_wrap=True)
    table.add_column(overflow="fold")
    risks = ", ".join(f"{risk} {score:.2f}" for risk, score in told.categories.items())
    asked = "asked for" if told.asked else "not asked for"
    rows = [
        ("turn", f"{told.turn_id}, by the {told.role}, in conversation {told.conversation_id} of tenant {told.tenant}"),
        ("label", told.label),
        ("why", told.why),
        ("weights of", f"context {told.context}, which had learned {told.rounds:,} labelled turns"),
        ("categories", risks or "none of at least 0.1"),
        ("a label", f"was {asked} (with a probability of {told.ask_probability:.4g})"),
        ("scored", f"{told.scored_at:%Y-%m-%d %H:%M:%S.%f} UTC, {told.latency_ms:,} ms after the broker had the turn"),
        ("turn stands", f"{told.source.topic}[{told.source.partition}]@{told.source.offset}"),
        ("verdict stands", f"{told.place.topic}[{told.place.partition}]@{told.place.offset}"),
    ]
    for name, value in rows:
        table.add_row(name, Text(printable(value), STYLES[told.label] if name == "label" else ""))
    return table


def _experts(told: Explanation) -> Table:
    table = Table(title=Text("Who carried the score"), title_justify="left")
    table.add_column("expert", overflow="fold")
    table.add_column("then", no_wrap=True)
    for heading in ("score", "weight", "carried"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("today", no_wrap=True)
    for heading in ("weight", "carries"):
        table.add_column(heading, justify="right", no_wrap=True)
    for one in told.experts:
        table.add_row(*_expert(one))
    return table


def _expert(one: Share) -> tuple[Text, ...]:
    then = "voted" if one.status == "ok" else one.status
    votes = one.mode_now == "votes"
    cells = (
        printable(f"{one.name}@{one.version}"), then, _figure(one.score), f"{one.weight:.4f}",
        _figure(one.contribution), one.mode_now, f"{one.weight_now:.4f}" if votes else "-",
        _figure(one.contribution_now),
    )  # fmt: skip
    return tuple(map(Text, cells))


def _adds_up(told: Explanation) -> str:
    again = told.recomputed
    if again.score is None or again.difference is None or again.tolerance is None:
        return "Nobody carried anything: no expert that votes was awake."
    word = "equals" if again.agrees else "DIFFERS FROM"
    how = f"they differ by {again.difference:.1e}, weights are recorded to {again.tolerance:.1e}"
    return f"Weights times scores give {again.score:.9f}, which {word} the published {told.score:.9f}: {how}."


def _today(told: Explanation) -> Table:
    table = Table(title=Text("Decided then, and by today's ensemble"), title_justify="left")
    for heading in ("", "policy"):
        table.add_column(heading, no_wrap=True)
    for heading in ("learned", "score", "needs_caution from", "unsafe from"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("label", no_wrap=True)
    caution, unsafe = (
        ("-", "-") if told.thresholds is None else map(_cut, (told.thresholds.caution, told.thresholds.unsafe))
    )
    published = (f"{told.rounds:,}", _figure(told.score), caution, unsafe, Text(told.label, STYLES[told.label]))
    table.add_row("then", Text(printable(told.policy)), *published)
    table.add_row(*_decided("today", told.now))
    if told.otherwise is not None:
        table.add_row(*_decided("today, under", told.otherwise))
    return table


def _decided(when: str, one: Decided) -> tuple[str | Text, ...]:
    label = Text(one.label, STYLES[one.label])
    label.append("  otherwise" if one.changes else "  as then", "bold" if one.changes else "dim")
    figures = f"{one.rounds:,}", _figure(one.score), _cut(one.caution), _cut(one.unsafe)
    return when, Text(printable(one.policy)), *figures, label


def _cut(one: Threshold) -> str:
    return f"{one.score:.2f} ({one.low:.2f} to {one.high:.2f})" if one.calibrated else f"{one.score:.2f}"


def _labels(told: Explanation) -> Iterator[RenderableType]:
    if not told.labels:
        yield Text("Nobody has labelled this turn.")
        return
    table = Table(title=Text("Labels of this turn"), title_justify="left")
    for heading in ("label", "annotator", "labelled", "the broker had it", "counts"):
        table.add_column(heading, overflow="fold")
    counts = {True: "yes", False: "no: replaced, revoked or not read yet", None: "not known"}
    for one in told.labels:
        times = (f"{at:%Y-%m-%d %H:%M:%S}" for at in (one.labelled_at, one.received_at))
        said = Text(one.label, STYLES[one.label])
        table.add_row(said, Text(printable(one.annotator)), *times, counts[one.counts])
    yield table


def _taught(told: Taught) -> Iterator[RenderableType]:
    yield Text()
    if not told.turns:
        yield Text(f"No labelled turn of this context was written since; it has learned {told.rounds:,} since.")
        return
    classes = ", ".join(f"{count:,} {label}" for label, count in told.by_class.items())
    votes = ", ".join(f"{count:,} of {number}" for number, count in told.by_votes.items())
    people = ", ".join(f"{printable(name)} {count:,}" for name, count in told.by_annotator.items())
    held = f"{told.rounds:,} labelled turns; {told.turns:,} are in the state"
    yield Text(f"Learned in this context since: {held}: {classes}; annotators a turn: {votes}; by {people}.")
    table = Table(title=Text("The newest of them, and what each moved"), title_justify="left")
    for heading in ("turn", "learned", "annotators", "labelled"):
        table.add_column(heading, overflow="fold")
    table.add_column("weight today minus without it", overflow="fold")
    for one in told.newest:
        moved = ", ".join(f"{printable(name)} {change:+.4f}" for name, change in _largest(one.moved))
        names, at = Text(printable(", ".join(one.annotators))), f"{one.labelled_at:%Y-%m-%d %H:%M:%S}"
        said = Text(one.label, STYLES[one.label])
        table.add_row(Text(printable(one.turn_id)), said, names, at, Text(moved or "nothing"))
    yield table


def _largest(moved: dict[str, float]) -> list[tuple[str, float]]:
    """The three that moved most."""
    return sorted(moved.items(), key=lambda item: -abs(item[1]))[:3]


def _figure(value: float | None) -> str:
    return "-" if value is None else f"{value:.4f}"
