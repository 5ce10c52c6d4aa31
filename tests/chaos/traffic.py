"""What is sent while workers die: turns, and labels that come late, early, twice, corrected and from several people.
Pure: a seed gives the same messages in the same order."""

from __future__ import annotations

import random
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal

from chaos.poison import bad_label, bad_turn
from stream.codecs import encode
from stream.records import Label, LabelName, Role, Turn
from support.kafka import Record

ROLES: tuple[Role, ...] = ("user", "assistant", "system")
TENANTS = ("default", "default", "acme")
CLASSES: tuple[LabelName, ...] = ("safe", "needs_caution", "unsafe")
PEOPLE = ("ann", "bo", "chi", "dee")
TURNS_A_CONVERSATION = 12
REPEATED = 0.02
"""Share of turns that their producer sends twice, as a client that retries does."""
STRAY = 0.05
"""Share of labels that come by the other hash (librdkafka's CRC32), and so must look for their turn."""
HOUR_MS = 3_600_000


@dataclass(frozen=True)
class Post:
    """One message, and the topic it goes to."""

    to: Literal["turns", "labels"]
    record: Record
    turn_id: str = ""
    """Of a turn that is sent more than once, or whose id another text takes: all go to the partition of the first, as
    from one producer, also when the topic has grown meanwhile."""


@dataclass(frozen=True)
class Traffic:
    """Messages in the order in which they are sent, and the ids of the turns among them."""

    posts: tuple[Post, ...]
    turn_ids: frozenset[str]
    labels: int
    """Those that can be used."""


def traffic(seed: int, turns: int, labels: int, partitions: int, now_ms: int, poison: float = 0.0) -> Traffic:
    """`turns` different turns and `labels` labels of them, all labelled in the hour before `now_ms` (ms since 1970), so
    that no clock has a say in the outcome; and for each of them `poison` messages that cannot be used."""
    rng = random.Random(f"traffic {seed}")
    known = [_turn(rng, number, now_ms) for number in range(turns)]
    placed: list[tuple[float, Post]] = []
    for number, turn in enumerate(known):
        post = Post("turns", Record(encode(turn), turn.conversation_id.encode()), turn.turn_id)
        placed.append((float(number), post))
        if rng.random() < REPEATED:
            placed.append((number + rng.uniform(0.0, 200.0), post))
    told: list[tuple[float, Post]] = []
    while len(told) < labels:
        number = rng.randrange(turns)
        for place, label in _labels(rng, number, known[number], turns, now_ms):
            told.append((place, _post(rng, label, partitions)))
    placed += told[:labels]
    placed += _poison(rng, known, int(poison * turns), int(poison * labels))
    ordered = sorted(placed, key=lambda item: item[0])  # stable: what has one place keeps its order
    return Traffic(tuple(post for _, post in ordered), frozenset(turn.turn_id for turn in known), labels)


def _turn(rng: random.Random, number: int, now_ms: int) -> Turn:
    conversation = number // (TURNS_A_CONVERSATION * 8) * 8 + number % 8  # eight conversations go on side by side
    return Turn(
        turn_id=f"t{number}",
        conversation_id=f"c{conversation}",
        role=rng.choice(ROLES),
        text=f"turn {number} {rng.getrandbits(64):x}",
        sent_at=_instant(now_ms),
        tenant=TENANTS[conversation % len(TENANTS)],
        metadata={"n": str(number)},
    )


def _labels(rng: random.Random, number: int, turn: Turn, turns: int, now_ms: int) -> Iterator[tuple[float, Label]]:
    """The labels that one turn gets, each with its place in the traffic."""
    people = rng.sample(PEOPLE, rng.choices([1, 2, 3], [8, 1, 1])[0])
    fate = rng.choices(["late", "early", "twice", "corrected", "contradicted"], [70, 10, 8, 9, 3])[0]
    at = now_ms - rng.randrange(HOUR_MS // 2, HOUR_MS)
    for person in people:
        place = number - rng.uniform(0.0, 60.0) if fate == "early" else number + rng.uniform(0.5, turns / 4)
        first = _label(turn, rng.choice(CLASSES), person, at)
        yield place, first
        if fate == "twice":
            yield place + rng.uniform(0.0, 100.0), first
        elif fate == "corrected":  # sometimes the correction overtakes what it corrects
            yield place + rng.uniform(-50.0, 100.0), _label(turn, rng.choice(CLASSES), person, at + 60_000)
        elif fate == "contradicted":  # at the same instant: the more severe stands
            yield place + rng.uniform(-50.0, 100.0), _label(turn, rng.choice(CLASSES), person, at)


def _label(turn: Turn, name: LabelName, annotator: str, at_ms: int) -> Label:
    return Label(turn.turn_id, turn.conversation_id, name, annotator, _instant(at_ms), turn.tenant)


def _post(rng: random.Random, label: Label, partitions: int) -> Post:
    key = label.conversation_id.encode()
    stray = zlib.crc32(key) % partitions if rng.random() < STRAY else None
    return Post("labels", Record(encode(label), key, partition=stray))


def _poison(rng: random.Random, known: list[Turn], turns: int, labels: int) -> Iterator[tuple[float, Post]]:
    for _ in range(turns):
        number = rng.randrange(len(known))
        record, reused = bad_turn(rng, known[number])
        place = number + rng.uniform(0.5, 300.0)  # so that the first under an id is the good one
        yield place, Post("turns", record, known[number].turn_id if reused else "")
    for _ in range(labels):
        yield rng.uniform(0.0, len(known)), Post("labels", bad_label(rng, rng.choice(known)))


def _instant(at_ms: int) -> datetime:
    return datetime.fromtimestamp(at_ms / 1000, UTC)
