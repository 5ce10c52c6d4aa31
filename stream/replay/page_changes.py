"""The part of the page that tells which verdicts would have been others, and what a candidate would have added."""

from __future__ import annotations

from collections.abc import Iterator
from html import escape

from stream.records import LabelName
from stream.replay.results import Candidate, Compared, Replay
from stream.replay.wording import changes_in_words
from stream.report.page import number, table


def changes(found: Replay) -> str:
    """HTML; empty where no verdict was published and nothing was tried beside."""
    candidate = "" if found.candidate is None else _effects(found.candidate)
    told = [
        f"<p>{escape(changes_in_words(run, one))}</p>{''.join(_tables(one))}"
        for run in found.runs
        if run.candidate != "without"
        for one in run.compared
    ]
    return f"{candidate}{f'<h2>Verdicts that change</h2>{chr(10).join(told)}' if told else ''}"


def _effects(candidate: Candidate) -> str:
    head = ["context", "policy", "forecaster", "labelled", "loss without", "loss with", "its own loss", "on"]
    rows = [
        [
            one.context, one.policy, one.forecaster, f"{one.rounds:,}", number(one.loss_without), number(one.loss_with),
            number(one.own_loss), f"{one.labelled:,.0f}", number(one.weight), number(one.regret),
        ]
        for one in candidate.effects
    ]  # fmt: skip
    title = f"<h2>What {escape(candidate.id)} would have added</h2>"
    return f'{title}<div class="card">{table([*head, "its weight", "regret to it"], rows)}</div>'


def _tables(one: Compared) -> Iterator[str]:
    pairs = [
        [
            f"{pair.before} to {pair.after}",
            *(f"{count:,}" for count in (pair.turns, pair.labelled, pair.nearer, pair.farther)),
        ]
        for pair in one.pairs
    ]
    if pairs:
        head = ["label", "turns", "labelled", "nearer to what people said", "farther from it"]
        yield f'<div class="card">{table(head, pairs)}</div>'
    people = [[row.label, f"{row.turns:,}", _counts(row.before), _counts(row.after)] for row in one.agreement]
    if people and one.changed:
        yield f'<div class="card">{table(["people said", "turns", "decided before", "decided here"], people)}</div>'


def _counts(decided: dict[LabelName, int]) -> str:
    return ", ".join(f"{count:,} {label}" for label, count in decided.items())
