"""The turns that every contestant reads: the demo's conversations over and over, under ids that never repeat."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

CONVERSATIONS = Path(__file__).resolve().parents[2] / "stream" / "demo" / "conversations.jsonl"


def turns(count: int, source: Path = CONVERSATIONS) -> Iterator[tuple[bytes, bytes]]:
    """`count` records (key, value) of `turns.v1`, each conversation in its order."""
    conversations = [json.loads(line) for line in source.read_text().splitlines()]
    made = 0
    while True:
        for number, conversation in enumerate(conversations):
            name = f"{conversation['conversation_id']}-{made:08d}-{number:03d}"
            for place, turn in enumerate(conversation["turns"]):
                if made == count:
                    return
                yield name.encode(), _turn(name, place, conversation, turn)
                made += 1


def _turn(name: str, place: int, conversation: dict[str, Any], turn: dict[str, Any]) -> bytes:
    record = {
        "turn_id": f"{name}-{place:02d}",
        "conversation_id": name,
        "role": turn["role"],
        "text": turn["text"],
        "sent_at": "2026-01-05T09:00:00Z",
        "tenant": conversation["tenant"],
    }
    return json.dumps(record, separators=(",", ":"), ensure_ascii=False).encode()
