"""The texts of the benchmark, as a list for the bare session and as turns for the worker."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

from tokenizers import Tokenizer

from benchmarks.serving.stage import sample
from experts.registry import ZOO

ENCODER = ZOO / "encoder"


def texts_of(source: Iterator[str], count: int) -> tuple[list[str], float]:
    """`count` texts that the encoder reads whole, always the same ones, and their mean tokens."""
    tokenizer = Tokenizer.from_file(str(ENCODER / "tokenizer.json"))
    tokenizer.no_padding()
    tokenizer.no_truncation()
    return sample(tokenizer, list(source), count)


def turns_of(texts: list[str], name: str) -> Iterator[tuple[bytes, bytes]]:
    """Each text as the only turn of its conversation, key and value; `name` keeps runs apart."""
    for number, text in enumerate(texts):
        place = f"{name}-{number:07d}"
        turn = {
            "turn_id": place,
            "conversation_id": place,
            "role": "user",
            "text": text,
            "sent_at": "2026-01-05T09:00:00Z",
        }
        yield place.encode(), json.dumps(turn, separators=(",", ":"), ensure_ascii=False).encode()


def save(texts: list[str], path: Path) -> Path:
    """For the bare session's process."""
    path.write_text(json.dumps(texts))
    return path
