"""Messages that cannot be used: what a broken, a careless or a hostile client sends. Pure."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from typing import Any, Final

from stream.codecs import MAX_LABEL_BYTES, MAX_METADATA_BYTES, encode
from stream.records import Label, Turn
from stream.routing import FIRST, TRIED, TRIES
from support.kafka import Record

Change = Callable[[random.Random, dict[str, Any]], bytes | None]
DEEP: Final = 3000
"""Levels of nesting: beyond what a recursive decoder can take."""
JUNK: Final = ((TRIED, b"0,1,\xff"), (FIRST, b"-1"), (TRIES, b"9" * 40), ("aegis-reason", b"forged"))
"""Headers that look like ours, and say nonsense."""


def _dumped(fields: dict[str, Any]) -> bytes:
    return json.dumps(fields).encode()


def _torn(rng: random.Random, fields: dict[str, Any]) -> bytes:
    whole = _dumped(fields)
    return whole[: rng.randrange(1, len(whole) - 1)]


def _noise(rng: random.Random, fields: dict[str, Any]) -> bytes:
    return b"\xff" + rng.randbytes(rng.randrange(0, 200))


def _without(rng: random.Random, fields: dict[str, Any]) -> bytes:
    return _dumped({name: value for name, value in fields.items() if name != "turn_id"})


def _ill_typed(rng: random.Random, fields: dict[str, Any]) -> bytes:
    return _dumped({**fields, rng.choice(["turn_id", "conversation_id"]): rng.choice([7, None, [], {}, True])})


def _endless_id(rng: random.Random, fields: dict[str, Any]) -> bytes:
    return _dumped({**fields, "turn_id": "i" * rng.choice([129, 5000])})


def _timeless(rng: random.Random, fields: dict[str, Any]) -> bytes:
    return _dumped({**fields, "sent_at": "yesterday", "labelled_at": "2026-01-01T00:00:00"})


def _nested(rng: random.Random, fields: dict[str, Any]) -> bytes:
    start = rng.choice([b"[", b'{"a":'])
    return start * DEEP + rng.choice([b"", b"]" * DEEP])


ANY: Final[tuple[Change, ...]] = (
    _torn, _noise, _without, _ill_typed, _endless_id, _timeless, _nested,
    lambda rng, fields: b"",
    lambda rng, fields: None,
    lambda rng, fields: b"null",
)  # fmt: skip
OF_TURNS: Final[tuple[Change, ...]] = (
    lambda rng, fields: _dumped({**fields, "text": "x" * 66_000}),
    lambda rng, fields: _dumped({**fields, "metadata": {"m": "x" * (MAX_METADATA_BYTES + 1)}}),
    lambda rng, fields: _dumped({**fields, "role": "tool"}),
)
OF_LABELS: Final[tuple[Change, ...]] = (
    lambda rng, fields: _dumped({**fields, "categories": ["x" * MAX_LABEL_BYTES]}),
    lambda rng, fields: _dumped({**fields, "label": "harmless"}),
)
HUGE: Final = 0.1
"""Of the kinds that are large: a share, so that they do not fill the disk."""


def bad_turn(rng: random.Random, turn: Turn) -> tuple[Record, bool]:
    """The message, and whether it is another text under the turn's id."""
    fields = json.loads(encode(turn))
    if rng.random() < 0.1:
        return Record(_dumped({**fields, "text": f"another text {rng.random()}"}), turn.conversation_id.encode()), True
    change = rng.choice(OF_TURNS if rng.random() < HUGE else ANY)
    return _record(rng, change(rng, fields), turn.conversation_id), False


def bad_label(rng: random.Random, turn: Turn) -> Record:
    """A label that is none, or one that means no turn."""
    label = Label(turn.turn_id, turn.conversation_id, "unsafe", "eve", turn.sent_at, turn.tenant)
    fields = json.loads(encode(label))
    if rng.random() < 0.05:  # it waits for its turn, for ever
        fields["turn_id"] = f"nowhere-{rng.getrandbits(32):x}"
        return Record(_dumped(fields), turn.conversation_id.encode())
    change = rng.choice(OF_LABELS if rng.random() < HUGE else ANY)
    return _record(rng, change(rng, fields), turn.conversation_id)


def _record(rng: random.Random, value: bytes | None, conversation: str) -> Record:
    key = rng.choice([conversation.encode(), conversation.encode(), None, b"", b"\xff\xfe"])
    if value is None and key is None:  # no client sends nothing at all
        key = b""
    return Record(value, key, headers=JUNK if rng.random() < 0.2 else ())
