"""What each turn's history must be, read off the topic alone."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from experts.base import Passage
from experts.fakes import recalled_score
from stream.codecs import Rejected, decode_turn
from stream.conversations import TOKEN_BYTES, TURN_BYTES, History
from stream.settings import Settings

Place = tuple[int, str, str]
"""Partition, tenant, conversation."""


def expected_scores(turns: Iterable[Any], settings: Settings) -> dict[str, float]:
    """What `RecallingExpert` must say of each turn of the topic, by turn id: nothing crashes, nor comes in batches."""
    said: dict[Place, list[tuple[str, str]]] = {}
    last: dict[Place, int] = {}
    expected: dict[str, float] = {}
    for record in turns:
        turn = decode_turn(record.value, settings.max_text_bytes)
        if isinstance(turn, Rejected) or turn.turn_id in expected:
            continue
        place = (record.partition, turn.tenant, turn.conversation_id)
        idle = record.timestamp - last.get(place, record.timestamp) > settings.conversation_idle * 1000
        if place not in said or idle or settings.conversations == "off":
            said[place] = []
        sent = tuple((utterance.role, utterance.text) for utterance in turn.history)
        history = sent or within(said[place], settings.conversation_tokens * TOKEN_BYTES)
        expected[turn.turn_id] = float(np.float32(recalled_score(Passage(turn.role, turn.text, history))))
        said[place].append((turn.role, turn.text))
        last[place] = record.timestamp
    return expected


def within(said: Sequence[tuple[str, str]], budget: int) -> History:
    """As many of the last (role, text) as the budget in bytes holds; none of them is over half of it."""
    kept: list[tuple[str, str]] = []
    for role, text in reversed(said):
        budget -= len(text.encode()) + TURN_BYTES
        if budget < 0:
            break
        kept.insert(0, (role, text))
    return tuple(kept)
