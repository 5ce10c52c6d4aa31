"""Reads what an expert learns from: labelled turns in the form of our sets or of AEGIS, one JSON object a line.

Ours is that of `experts.train.data`. That of AEGIS 1.0 is `text`, `text_type` (`user_message` or `llm_response`; others
are a user's), and the votes: `labels_0`, `labels_1` and so on, each an annotator's list of categories, joined by commas
("Safe", "Needs Caution" or risks); an empty one is no vote. Whether needs caution is unsafe is the reading's to say.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from experts.base import Passage
from experts.errors import TrainingError
from experts.guard_policy import Policy
from experts.taxonomy import NEEDS_CAUTION, meaning
from experts.train.data import examples

FILES: Final = ("data.jsonl.gz", "data.jsonl")
REPLY: Final = "llm_response"
VOTE: Final = "labels_"


@dataclass(frozen=True, slots=True)
class Lesson:
    """A turn, and the share of its annotators that call it unsafe."""

    passage: Passage
    unsafe: float


def read_lessons(path: Path, reading: Policy) -> list[Lesson]:
    """The labelled turns of a file, or of every set in a folder, in their order; those that the reading has no answer
    to are left out. TrainingError, naming file and line, if one is not as described above, or if there is none.
    """
    lessons = [lesson for file in files_of(path) for lesson in lessons_of(file, reading)]
    if len({lesson.unsafe >= 0.5 for lesson in lessons}) < 2:
        raise TrainingError(f"{path} does not hold both safe and unsafe turns: an expert learns from nothing less")
    return lessons


def files_of(path: Path) -> list[Path]:
    """The files behind a path. TrainingError if there is none."""
    found = [path] if path.is_file() else sorted(file for name in FILES for file in path.rglob(name))
    if not found:
        raise TrainingError(f"{path} is no file and holds no {FILES[0]}: name labelled turns with --data")
    return found


def lessons_of(file: Path, reading: Policy) -> Iterator[Lesson]:
    """The lessons of one file."""
    with gzip.open(file, "rt", encoding="utf-8") if file.suffix == ".gz" else file.open(encoding="utf-8") as lines:
        for number, line in enumerate(lines, 1):
            try:
                row = json.loads(line)
                yield from of_votes(row, reading) if "text" in row else of_example(row, file.parent.name, reading)
            except (AttributeError, KeyError, IndexError, TypeError, ValueError) as error:
                raise TrainingError(f"{file}, line {number}: not a labelled turn ({type(error).__name__})") from error


def of_example(row: Mapping[str, Any], source: str, reading: Policy) -> Iterator[Lesson]:
    """The lessons of a row of our form."""
    for example in examples(row, source):
        unsafe = example.permissive if reading == "permissive" else example.defensive
        if 0 <= unsafe <= 1:
            yield Lesson(example.passage, unsafe)


def of_votes(row: Mapping[str, Any], reading: Policy) -> Iterator[Lesson]:
    """The lesson of a row of the AEGIS form; none if nobody voted or there is no text."""
    votes = [str(value) for name, value in row.items() if name.startswith(VOTE) and value]
    role = "assistant" if row.get("text_type") == REPLY else "user"
    passage = Passage(role, str(row["text"]))
    if votes and passage.text.strip():
        yield Lesson(passage, sum(calls_unsafe(vote, reading) for vote in votes) / len(votes))


def calls_unsafe(vote: str, reading: Policy) -> bool:
    """Whether an annotator calls a turn unsafe: a risk does, needs caution alone on the defensive reading only.

    ValueError on a category that is not known.
    """
    names = [name.strip() for name in vote.split(",") if name.strip()]
    means = {name: NEEDS_CAUTION if name.casefold() == "needs caution" else meaning(name) for name in names}
    if unknown := [name for name, found in means.items() if found is None]:
        raise ValueError(f"the category {unknown[0]!r} is not known")
    fine = {"safe", "none"} | ({NEEDS_CAUTION} if reading == "permissive" else set())
    return not set(means.values()) <= fine
