"""Labelled turns without a data set, and an expert that is right about them as often as it is told to be."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from experts.base import Passage, Scores
from experts.fakes import hashed_score

UNSAFE_WORD = "wicked"


@dataclass(frozen=True, slots=True)
class KnowingExpert:
    """Scores about `distance` higher what has UNSAFE_WORD in it, and sleeps on roles that it does not read."""

    name: str = "knowing"
    distance: float = 0.4
    roles: tuple[str, ...] = ("user", "assistant")
    version: str = "1"

    @property
    def id(self) -> str:
        return f"{self.name}@{self.version}"

    def advise(self, passages: Sequence[Passage]) -> Scores:
        return np.array([self._score(passage) for passage in passages], np.float32)

    def _score(self, passage: Passage) -> float:
        if passage.role not in self.roles:
            return float("nan")
        noise = hashed_score(passage, salt=len(self.name))
        return (1 - self.distance) * noise + self.distance * (UNSAFE_WORD in passage.text)


def labelled_lines(count: int, share: float = 0.4, seed: int = 0, **more: Any) -> list[dict[str, Any]]:
    """Rows of `aegis evaluate`, of which about `share` are unsafe, one in three of the assistant."""
    unsafe = np.random.default_rng(seed).random(count) < share
    return [
        {
            "text": f"{seed} {number} {UNSAFE_WORD if bad else 'kind'}",
            "unsafe": bool(bad),
            "role": "user" if number % 3 else "assistant",
            **more,
        }
        for number, bad in enumerate(unsafe)
    ]


def write_lines(file: Path, rows: Sequence[dict[str, Any]]) -> Path:
    """The rows as a file of JSON lines."""
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return file
