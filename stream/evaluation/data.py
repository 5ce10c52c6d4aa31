"""Labelled turns from files, in the two forms that `aegis evaluate` reads, one JSON object a line:

    a data set's   {"turns": [{"role", "text"}, ...], "target": which of them the label is of, "unsafe", "categories",
                   "meta": {"attack"}}; target `user` or `assistant` is the last turn of that role, anything else the
                   last turn
    a simple one   {"text", "unsafe"} and, where there are any, "role" (user), "history" (turns), "categories", "attack"

`unsafe` is true or 1, false or 0, or null; a row with null is labelled only if "Needs Caution" is among its categories.
"""

from __future__ import annotations

import gzip
import zlib
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, Final, cast

import msgspec
import numpy as np

from ensemble.policy import CLASSES
from experts.base import Passage
from experts.taxonomy import NEEDS_CAUTION, normalised
from stream.codecs import UNREADABLE
from stream.errors import DataError
from stream.lines import Readable, read_lines

FILES: Final = ("data.jsonl", "data.jsonl.gz")
"""What a data set's folder holds, one of them."""
ROLES: Final = frozenset({"user", "assistant", "system"})
"""Anybody else speaks where a worker sees users."""
SAFE, CAUTION, UNSAFE = (CLASSES.index(name) for name in ("safe", "needs_caution", "unsafe"))


class Said(msgspec.Struct, frozen=True, gc=False):
    """A turn as it stands in a file."""

    role: str
    text: str

    def seen(self) -> tuple[str, str]:
        """(role, text) as a worker would see it."""
        return (self.role if self.role in ROLES else "user"), self.text


class Meta(msgspec.Struct, frozen=True, gc=False):
    """What a data set tells besides; other fields are ignored."""

    attack: str | None = None


class Raw(msgspec.Struct, frozen=True, gc=False):
    """A line of either form; other fields are ignored."""

    unsafe: bool | int | None
    turns: tuple[Said, ...] = ()
    target: str = "conversation"
    text: str | None = None
    role: str = "user"
    history: tuple[Said, ...] | None = None
    categories: tuple[str, ...] | None = None
    attack: str | None = None
    meta: Meta | None = None


@dataclass(frozen=True, slots=True)
class Row:
    """A labelled turn: what experts read, its class index, and what it is grouped by."""

    passage: Passage
    label: int
    categories: tuple[str, ...] = ()
    attack: str | None = None


@dataclass(frozen=True, slots=True)
class DataSet:
    """The labelled rows of one file; `unlabelled` rows had no label, `bad` ones could not be read."""

    name: str
    rows: tuple[Row, ...]
    unlabelled: int = 0
    bad: int = 0

    def sampled(self, most: int | None, seed: int) -> DataSet:
        """At most so many of its rows, drawn by the seed, in the order in which they stand."""
        if most is None or most >= len(self.rows):
            return self
        kept = np.sort(np.random.default_rng(seed).choice(len(self.rows), most, replace=False))
        return replace(self, rows=tuple(self.rows[index] for index in kept))


def find_sets(paths: Sequence[Path]) -> list[tuple[str, Path]]:
    """(name, file) of every set: a file, a folder with data.jsonl or data.jsonl.gz, or one with such folders.

    Raises DataError for a path that is none of these.
    """
    found = [file for path in paths for file in _files(path)]
    names = [file.parent.name if file.name in FILES else file.name.partition(".json")[0] for file in found]
    total, seen = Counter(names), Counter[str]()
    for index, name in enumerate(names):
        seen[name] += 1
        if total[name] > 1:  # two files of one name must stay apart in every table
            names[index] = f"{name} {seen[name]}"
    return list(zip(names, found, strict=True))


def read_set(name: str, file: Path, skip_bad: bool = False) -> DataSet:
    """The labelled rows of a file. Raises DataError, one line, for a line that is no labelled row (unless `skip_bad`
    counts them instead) or a file that cannot be read.
    """
    rows, unlabelled, bad = list[Row](), 0, 0
    for number, found in _parsed(file):
        if isinstance(found, Row):
            rows.append(found)
        elif found is None:
            unlabelled += 1
        elif skip_bad:
            bad += 1
        else:
            raise DataError(f"{file}:{number}: {found}; mend the line, or leave such lines out with --skip-bad")
    return DataSet(name, tuple(rows), unlabelled, bad)


def _files(path: Path) -> list[Path]:
    if path.is_file():
        return [path]
    if own := [path / name for name in FILES if (path / name).is_file()]:
        return own[:1]
    below = [file for folder in sorted(path.glob("*/")) for file in [folder / name for name in FILES] if file.is_file()]
    if not below:
        wanted = " or ".join(FILES)
        raise DataError(f"{path} is no file, and no folder with {wanted} in it or one level below: name one that is")
    return below


def _parsed(file: Path) -> Iterator[tuple[int, Row | str | None]]:
    """(line number, the row, or why it is none, or None where it has no label)."""
    try:
        with _opened(file) as lines:
            for several in read_lines(cast(Readable, lines)):
                for line in several:
                    yield line.number, line.problem.detail if line.problem else _row(line.value)
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"{file} cannot be read ({error}): restore the file") from error


def _opened(file: Path) -> IO[bytes]:
    return cast(IO[bytes], gzip.open(file, "rb")) if file.suffix == ".gz" else file.open("rb")


_decoder = msgspec.json.Decoder(Raw)


def _row(line: bytes) -> Row | str | None:
    try:
        raw = _decoder.decode(line)
    except UNREADABLE as error:
        return f"no labelled row ({error})"
    if raw.unsafe not in (0, 1, None):
        return f"no labelled row (`unsafe` is {raw.unsafe}, not true, false, 1, 0 or null)"
    passage = _passage(raw)
    if isinstance(passage, str):
        return f"no labelled row ({passage})"
    categories = raw.categories or ()
    cautious = any(normalised(category) == NEEDS_CAUTION for category in categories)
    if raw.unsafe is None and not cautious:
        return None
    label = CAUTION if raw.unsafe is None else UNSAFE if raw.unsafe else SAFE
    return Row(passage, label, tuple(dict.fromkeys(categories)), raw.attack or (raw.meta.attack if raw.meta else None))


def _passage(raw: Raw) -> Passage | str:
    """What an expert reads of a line, or what it lacks for that."""
    if raw.text is not None:
        return Passage(*Said(raw.role, raw.text).seen(), tuple(said.seen() for said in raw.history or ()))
    turns = tuple(said.seen() for said in raw.turns)
    meant = raw.target if raw.target in ("user", "assistant") else None
    places = [index for index, (role, _) in enumerate(turns) if meant in (None, role)]
    if not places:
        return f"it has no turn of its target, {meant}" if turns else "it has neither `text` nor `turns`"
    return Passage(*turns[places[-1]], turns[: places[-1]])
