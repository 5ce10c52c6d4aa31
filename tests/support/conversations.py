"""Real, labelled conversations as turns and labels. Their texts are offensive: no test may print one."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import Any, Final, TypeVar

from stream.records import Label, LabelName, Role, Turn, Utterance

ROLES: Final[dict[str, Role]] = {"user": "user", "assistant": "assistant", "other_user": "user", "unknown": "user"}
SAYS: Final[dict[int | None, LabelName]] = {1: "unsafe", 0: "safe", None: "needs_caution"}

Row = dict[str, Any]
T = TypeVar("T")


class Unprinted(list[T]):
    """A list that a failing test does not show."""

    def __repr__(self) -> str:
        return f"<{len(self)}, not printed>"


def rows_of(datasets: Path, name: str, most: int | None = None) -> Unprinted[Row]:
    """The first conversations of a data set of `dev`, all of them unless told otherwise."""
    with gzip.open(datasets / "dev" / name / "data.jsonl.gz", "rt", encoding="utf-8") as lines:
        return Unprinted(map(json.loads, islice(lines, most)))


def turns_of(rows: Unprinted[Row]) -> Unprinted[Turn]:
    """Every turn of these conversations, each with those before it as its history."""
    return Unprinted(_turns(rows))


def labels_of(rows: Unprinted[Row]) -> Unprinted[Label]:
    """What people said of the last turn of each of these conversations."""
    return Unprinted(_labels(rows))


def _turns(rows: Iterable[Row]) -> Iterator[Turn]:
    for row in rows:
        said = [Utterance(ROLES[turn["role"]], turn["text"]) for turn in row["turns"]]
        for number, utterance in enumerate(said):
            yield Turn(
                turn_id=f"{row['id']}-{number}",
                conversation_id=row["id"],
                role=utterance.role,
                text=utterance.text,
                sent_at=datetime.now(UTC),
                history=tuple(said[:number]),
            )


def _labels(rows: Iterable[Row]) -> Iterator[Label]:
    for row in rows:
        yield Label(
            turn_id=f"{row['id']}-{len(row['turns']) - 1}",
            conversation_id=row["id"],
            label=SAYS[row["unsafe"]],
            annotator="aegis",
            labelled_at=datetime.now(UTC),
            categories=tuple(row["categories"]),
        )
