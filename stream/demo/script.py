"""When each turn and each label of the demonstration is sent: pure, so that a seed gives the same show every time.

Conversations begin in the order of the file, whose three thirds differ in character: open abuse, then polite requests
for harm, then harmless talk that sounds dangerous. Experts therefore take turns at being the best one, which is what
the weights should follow.
"""

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from importlib.resources import files
from random import Random
from typing import Any, Literal, TypedDict

LabelKind = Literal["late", "early", "twice", "corrected"]
Fate = Literal["none", "late", "early", "twice", "corrected", "panel"]

SECONDS = 60.0  # long enough to watch the weights move, short enough to stay for the end
SPEAKING = 0.8  # share of the script in which turns are sent; the rest is for labels, which take up to 12 of 60 seconds
GAP = (0.5, 1.2)  # seconds between two turns of a conversation: a dozen conversations overlap, as on a real topic
DELAY = (1.0, 12.0)  # seconds from a turn to its label; people answer in hours, a demonstration cannot wait for them
SHARES: dict[Fate, float] = {"none": 0.15, "early": 0.05, "twice": 0.05, "corrected": 0.06, "panel": 0.06}
ANNOTATORS = ("ana", "ben", "chloe", "dev", "emre")
MISTAKEN = {"safe": "unsafe", "needs_caution": "safe", "unsafe": "safe"}


class DemoTurn(TypedDict):
    """One turn of the file, with the label and categories that a person would give it."""

    turn_id: str
    role: str
    text: str
    label: str
    categories: list[str]


class Conversation(TypedDict):
    """One line of `conversations.jsonl`; `category` is a name of the taxonomy, or `ordinary`."""

    conversation_id: str
    tenant: str
    category: str
    turns: list[DemoTurn]


@dataclass(frozen=True, slots=True)
class TurnEvent:
    """A turn to send `at` seconds after the start, in its wire form, with `sent_at` in seconds until it is stamped."""

    at: float
    turn: dict[str, Any]


@dataclass(frozen=True, slots=True)
class LabelEvent:
    """A label to send `at` seconds after the start, in its wire form; `labelled_at` is in seconds until stamped.

    `kind` says what is special in this sending: `twice` repeats a label word for word, `corrected` takes back what its
    annotator said before.
    """

    at: float
    label: dict[str, Any]
    kind: LabelKind


Event = TurnEvent | LabelEvent


def load() -> list[Conversation]:
    """The conversations that ship with the package, in the order in which they are to begin."""
    lines = files("stream.demo").joinpath("conversations.jsonl").read_text("utf-8").splitlines()
    return [json.loads(line) for line in lines]


def script(conversations: Sequence[Conversation], seed: int, seconds: float = SECONDS) -> list[Event]:
    """Every sending of the demonstration, by time.

    `seconds` is the length of the whole script: delays shrink and grow with it. Raises ValueError if not positive.
    """
    if not seconds > 0:
        raise ValueError(f"a script lasts a positive number of seconds, not {seconds}")
    rng = Random(seed)
    turns = list(_turns(conversations, rng))
    fates = iter(_fates(len(turns), rng))
    labels = [label for placed in turns for label in _labels(*placed, next(fates), rng)]
    events: list[Event] = [TurnEvent(at, _wire_turn(at, conversation, turn)) for at, conversation, turn in turns]
    return sorted((_scaled(event, seconds / SECONDS) for event in [*events, *labels]), key=_order)


def stamp(event: Event, start: datetime) -> dict[str, Any]:
    """The wire record of an event; the script began at `start` (with an offset) and relative time becomes RFC 3339."""
    field = "sent_at" if isinstance(event, TurnEvent) else "labelled_at"
    record = event.turn if isinstance(event, TurnEvent) else event.label
    return {**record, field: (start + timedelta(seconds=record[field])).isoformat(timespec="milliseconds")}


def _turns(conversations: Sequence[Conversation], rng: Random) -> Iterator[tuple[float, Conversation, DemoTurn]]:
    """Begin the conversations evenly, and keep each one's turns in order inside the speaking time."""
    speaking = SPEAKING * SECONDS
    for number, conversation in enumerate(conversations):
        gaps = [rng.uniform(*GAP) for _ in conversation["turns"][1:]]
        at = number / max(1, len(conversations) - 1) * max(0.0, speaking - sum(gaps))
        for gap, turn in zip([0.0, *gaps], conversation["turns"], strict=True):
            at += gap
            yield at, conversation, turn


def _fates(count: int, rng: Random) -> list[Fate]:
    """What happens to the labels of `count` turns: fixed shares in random order, so that no seed leaves a kind out."""
    fates: list[Fate] = [fate for fate, share in SHARES.items() for _ in range(round(share * count))]
    fates += ["late"] * (count - len(fates))
    rng.shuffle(fates)
    return fates


def _labels(at: float, conversation: Conversation, turn: DemoTurn, fate: Fate, rng: Random) -> Iterator[LabelEvent]:
    """The labels of one turn that was sent `at`."""
    first, second, third = rng.sample(ANNOTATORS, 3)
    soon, late = at + _delay(rng), min(at + DELAY[1], SECONDS)
    truth = turn["label"]
    if fate == "early":
        # Before the very first turn there is no time, so its early label only ties with it and is sorted in front.
        yield _label(max(0.0, at - rng.uniform(0.2, 1.5)), conversation, turn, truth, first, "early")
    elif fate == "corrected":
        yield _label(soon, conversation, turn, MISTAKEN[truth], first, "late")
        yield _label(soon + rng.uniform(0.4, 1.0) * (late - soon), conversation, turn, truth, first, "corrected")
    elif fate == "panel":
        yield _label(soon, conversation, turn, truth, first, "late")
        yield _label(at + _delay(rng), conversation, turn, MISTAKEN[truth], second, "late")
        yield _label(at + _delay(rng), conversation, turn, truth, third, "late")
    elif fate != "none":
        said = _label(soon, conversation, turn, truth, first, "late")
        yield said
        if fate == "twice":
            yield LabelEvent(soon + rng.uniform(0.2, 1.0) * (late - soon), said.label, "twice")


def _delay(rng: Random) -> float:
    """Seconds from a turn to its label, skewed as people are: most are quick, some take very long."""
    shortest, longest = DELAY
    return shortest + (longest - shortest) * rng.betavariate(1.4, 4.0)


def _label(
    at: float, conversation: Conversation, turn: DemoTurn, said: str, annotator: str, kind: LabelKind
) -> LabelEvent:
    label = {
        "turn_id": turn["turn_id"],
        "conversation_id": conversation["conversation_id"],
        "tenant": conversation["tenant"],
        "label": said,
        "annotator": annotator,
        "labelled_at": at,
        "categories": turn["categories"] if said == turn["label"] else [],
    }
    return LabelEvent(at, label, kind)


def _wire_turn(at: float, conversation: Conversation, turn: DemoTurn) -> dict[str, Any]:
    record: dict[str, Any] = {
        "turn_id": turn["turn_id"],
        "conversation_id": conversation["conversation_id"],
        "tenant": conversation["tenant"],
        "role": turn["role"],
        "text": turn["text"],
        "sent_at": at,
        "metadata": {"topic": conversation["category"]},
    }
    if turn["role"] == "assistant":
        before = _before(turn, conversation["turns"])
        record["history"] = [{"role": said["role"], "text": said["text"]} for said in before]
    return record


def _before(turn: DemoTurn, turns: Iterable[DemoTurn]) -> Iterator[DemoTurn]:
    for earlier in turns:
        if earlier["turn_id"] == turn["turn_id"]:
            return
        yield earlier


def _scaled(event: Event, factor: float) -> Event:
    if isinstance(event, TurnEvent):
        return TurnEvent(event.at * factor, {**event.turn, "sent_at": event.turn["sent_at"] * factor})
    label = {**event.label, "labelled_at": event.label["labelled_at"] * factor}
    return LabelEvent(event.at * factor, label, event.kind)


def _order(event: Event) -> tuple[float, bool]:
    return event.at, isinstance(event, TurnEvent)
