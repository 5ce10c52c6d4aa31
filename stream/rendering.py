"""A record of any topic as one line: JSON for a program, columns for a person. Pure.

`record` is always an aiokafka ConsumerRecord."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from typing import Any, Final

import msgspec
from msgspec import UNSET
from rich.text import Text

from stream.codecs import UNREADABLE, Rejected, decode_label, decode_turn
from stream.letters import instant, letter
from stream.records import Label, Opinion, Turn, Verdict, Weights
from stream.topics import TopicNames

KINDS: Final = ("turns", "labels", "verdicts", "dead-letters", "weights")
"""Short names of the topics whose records have a form of their own."""
STYLES: Final = {"safe": "green", "needs_caution": "yellow", "unsafe": "bold red"}
Columns = list[tuple[str, int, str]]
"""(text, least width, style)."""

_verdicts = msgspec.json.Decoder(Verdict)
_weights = msgspec.json.Decoder(Weights)


def full_name(topic: str, names: TopicNames) -> str:
    """The topic of a short name of the contract; any other name is that of a topic already."""
    return str(getattr(names, topic.replace("-", "_"))) if topic in KINDS else topic


def kind_of(name: str, names: TopicNames) -> str | None:
    """The short name of a topic of the contract, None for any other."""
    return {full_name(kind, names): kind for kind in KINDS}.get(name)


def as_json(kind: str | None, record: Any, show_text: bool) -> bytes | Rejected:
    """The record's value as one line of JSON; of a dead letter, what is known of it."""
    if kind == "dead-letters":
        return msgspec.json.encode(letter(record, show_text))
    try:
        return msgspec.json.format(record.value or b"", indent=-1)
    except UNREADABLE:
        return Rejected("not_json", f"no JSON ({len(record.value or b'')} bytes)")


def as_columns(kind: str | None, record: Any, show_text: bool) -> Text | Rejected:
    """The record's fields side by side, after its time of day (UTC). Whatever others wrote cannot move the cursor."""
    try:
        columns = _COLUMNS[kind](record, show_text)
    except UNREADABLE:
        columns = Rejected("wrong_type", f"not what this topic holds ({len(record.value or b'')} bytes)")
    if isinstance(columns, Rejected):
        return columns
    time = instant(record.timestamp).strftime("%H:%M:%S")
    cells = [(f"{printable(text):<{width}}", style) for text, width, style in [(time, 8, "dim"), *columns]]
    return Text("  ").join(Text(text, style) for text, style in cells)


def asks(record: Any) -> bool:
    """Whether a verdict asks for a label. What is no verdict does not."""
    try:
        return _verdicts.decode(record.value or b"").ask_label
    except UNREADABLE:
        return False


def printable(text: str) -> str:
    """The text with everything that a terminal would act on, or that would break the line, made visible."""
    return text if text.isprintable() else "".join(c if c.isprintable() else "\N{MIDDLE DOT}" for c in text)


def _turn(record: Any, show_text: bool) -> Columns | Rejected:
    turn = decode_turn(record.value, sys.maxsize)
    if not isinstance(turn, Turn):
        return turn
    said = turn.text if show_text else f"{len(turn.text)} characters"
    return [(turn.conversation_id, 20, "cyan"), (turn.turn_id, 20, ""), (turn.role, 9, ""), (said, 0, "dim")]


def _label(record: Any, show_text: bool) -> Columns | Rejected:
    label = decode_label(record.value)
    if not isinstance(label, Label):
        return label
    said = (label.label, 13, STYLES[label.label])
    return [(label.conversation_id, 20, "cyan"), (label.turn_id, 20, ""), said, (f"by {label.annotator}", 0, "dim")]


def _verdict(record: Any, show_text: bool) -> Columns:
    verdict = _verdicts.decode(record.value or b"")
    advice = " ".join(f"{opinion.name} {_said(opinion)}" for opinion in verdict.experts)
    risks = " ".join(f"{risk} {score:.2f}" for risk, score in verdict.categories.items())
    score = "-" if verdict.score is None else f"{verdict.score:.3f}"
    return [
        (verdict.conversation_id, 20, "cyan"),
        (verdict.turn_id, 20, ""),
        (verdict.role, 9, ""),
        (verdict.label, 13, STYLES[verdict.label]),
        (score, 5, ""),
        *([(risks, 0, "magenta")] if risks else []),
        (advice, 0, "dim"),
        (f"{verdict.latency_ms} ms", 0, "dim"),
    ]


def _said(opinion: Opinion) -> str:
    if opinion.score is None:
        return opinion.status
    return f"({opinion.score:.2f})" if opinion.status == "shadow" else f"{opinion.score:.2f}"


def _weights_of(record: Any, show_text: bool) -> Columns:
    weights = _weights.decode(record.value or b"")
    standing = " ".join(
        f"{expert.id} {expert.weight:.3f}" for expert in sorted(weights.experts, key=lambda expert: -expert.weight)
    )
    beside = " ".join(f"shadow {expert.id} regret {expert.regret:.2f}" for expert in weights.shadows)
    worst = max((expert.regret for expert in weights.experts), default=0.0)
    most = "no bound" if weights.bound is None else f"at most {weights.bound:.2f}"
    return [
        (weights.context, 20, "cyan"),
        (f"{weights.rounds} rounds", 12, ""),
        (standing, 40, ""),
        *([(beside, 0, "magenta")] if beside else []),
        (f"regret {worst:.2f} of {most}", 0, "bold red" if weights.alarm else "dim"),
    ]


def _dead_letter(record: Any, show_text: bool) -> Columns:
    told = letter(record, show_text)
    source = f"{told.topic}[{told.partition}]@{told.offset}"
    return [
        (told.reason, 16, "yellow"),
        (source, 28, "cyan"),
        (f"{told.size} bytes", 12, ""),
        (told.detail, 0, "dim"),
        *([(told.text, 0, "")] if told.text is not UNSET else []),
    ]


def _other(record: Any, show_text: bool) -> Columns:
    key = (record.key or b"").decode(errors="replace")
    value = record.value or b""
    said = value.decode(errors="replace") if show_text else f"{len(value)} bytes"
    return [(f"[{record.partition}]@{record.offset}", 12, ""), (key, 20, "cyan"), (said, 0, "dim")]


_COLUMNS: Final[Mapping[str | None, Callable[[Any, bool], Columns | Rejected]]] = {
    "turns": _turn,
    "labels": _label,
    "verdicts": _verdict,
    "weights": _weights_of,
    "dead-letters": _dead_letter,
    None: _other,
}
