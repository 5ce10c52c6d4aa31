"""Reads the labelled sets and picks the rows to learn from.

A set is a folder with `data.jsonl.gz`, one object a line: `turns` (list of {role, text}), `target` (what the label is
about: the last `user` or `assistant` turn, the single `text`, or the whole `conversation`), `unsafe` (1, 0 or null),
`categories` (the source's own names) and free `meta`.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import math
import random
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from experts.base import Passage
from experts.errors import TrainingError
from experts.taxonomy import INDEX, NEEDS_CAUTION, from_set

# One row in ten is held out for calibration and validation.
HELD_OUT: Final = 10

# Other speakers and unknown ones stand where a worker sees users.
ROLES: Final[Mapping[str, str]] = {"user": "user", "assistant": "assistant", "system": "system"}

# How many rows are taken of each set, (unsafe, safe). A set that is easy, large or has one class only teaches which set
# a row is from instead of what is unsafe, so it is capped, and sets with both classes give about as many of each.
CAPS: Final[Mapping[str, tuple[int, int]]] = {
    "aart_prompts": (900, 0),
    "aegis1_val_test": (900, 900),
    "aegis2_unsafe_prompts900": (900, 0),
    "benign_topical_chat": (0, 800),
    "benign_wildchat300": (0, 300),
    "catqa": (550, 0),
    "convabuse": (400, 500),
    "davidson_hate_offensive": (800, 800),
    "diasafety": (1500, 1500),
    "edos_sexism": (700, 700),
    "gptfuzz_labelled_replies": (1000, 1200),
    "guardreasoner_train_sample5k": (2000, 2100),
    "jailbreak_llms_inthewild": (400, 0),
    "jailjudge_mini": (320, 700),
    "surge_toxicity": (510, 500),
    "wikipedia_context_toxicity": (210, 1100),
    "wildjailbreak_adv_harmful2000": (900, 0),
}
# In-the-wild jailbreaks are all labelled unsafe, though some merely set up a role: a matter for the defensive reading.
DOUBTFUL: Final = frozenset({"jailbreak_llms_inthewild"})
# The share of a machine's toxicity above which the defensive reading calls a comment unsafe that people let pass.
TOXIC: Final = 0.7


@dataclass(frozen=True, slots=True)
class Example:
    """A passage and what was said of it: the probability that it is unsafe as the permissive and as the defensive
    reading have it (NaN: no answer), its risks of `experts.taxonomy.RISKS` (None: nobody said), the set that it is
    from, and the group that must not be split (a question, a conversation).
    """

    passage: Passage
    permissive: float
    defensive: float
    risks: frozenset[str] | None
    source: str
    group: str

    @property
    def unsafe(self) -> bool:
        """The permissive reading; where it has none, the defensive one."""
        return (self.defensive if math.isnan(self.permissive) else self.permissive) >= 0.5

    @property
    def held_out(self) -> bool:
        """Whether this row is for calibration and validation. It depends on the group alone, so it is the same in
        every run.
        """
        digest = hashlib.sha256(f"{self.source}\n{self.group}".encode("utf-8", "surrogatepass")).digest()
        return int.from_bytes(digest[:8]) % HELD_OUT == 0


def read_set(folder: Path) -> Iterator[Example]:
    """The labelled rows of a set, in file order; rows that are neither labelled nor Needs Caution are left out.

    TrainingError, naming file and line, on a row that is not as described above.
    """
    for number, row in read_rows(folder):
        try:
            yield from examples(row, folder.name)
        except (AttributeError, KeyError, IndexError, TypeError, ValueError) as error:
            path = folder / "data.jsonl.gz"
            raise TrainingError(f"{path}, line {number}: not a labelled row ({type(error).__name__})") from error


def read_rows(folder: Path) -> Iterator[tuple[int, Mapping[str, Any]]]:
    """The objects of a set's file with their line numbers. TrainingError if it is missing or a line is no JSON."""
    path = folder / "data.jsonl.gz"
    if not path.is_file():
        raise TrainingError(f"{path} is not there: --data names the folder that holds train/ and dev/")
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        for number, line in enumerate(lines, 1):
            try:
                yield number, json.loads(line)
            except ValueError as error:
                raise TrainingError(f"{path}, line {number}: not JSON ({type(error).__name__})") from error


def examples(row: Mapping[str, Any], source: str) -> Iterator[Example]:
    """The passages that a row's label is about: one, or every turn of a conversation labelled as a whole."""
    readings = read_label(row, source)
    if readings is None:
        return
    turns = [(ROLES.get(turn["role"], "user"), str(turn["text"])) for turn in row["turns"]]
    group = str((row.get("meta") or {}).get("question_index", turns[0][1].casefold()))
    risks = read_risks(row, source, readings[1] >= 0.5)
    for index in targets(row["target"], turns):
        passage = Passage(*turns[index], history=tuple(turns[:index]))
        if passage.text.strip():
            yield Example(passage, *readings, risks, source, group)


def read_label(row: Mapping[str, Any], source: str) -> tuple[float, float] | None:
    """(permissive, defensive) probability that the row is unsafe; None if it has no label at all."""
    meta, unsafe = row.get("meta") or {}, row["unsafe"]
    if unsafe is None:
        names = {from_set(source, name) for name in row.get("categories") or ()}
        return (0.0, 1.0) if NEEDS_CAUTION in names else None
    permissive = defensive = float(bool(unsafe))
    if source == "convabuse":  # severities of 1 (fine) to -3; the label is a strict majority below nothing
        defensive = float(min(meta["votes"]) < 0)
    elif source == "wikipedia_context_toxicity":
        defensive = max(permissive, float(float(meta["api_toxicity"]) >= TOXIC))
    elif source in DOUBTFUL:
        permissive = math.nan
    return permissive, defensive


def read_risks(row: Mapping[str, Any], source: str, unsafe: bool) -> frozenset[str] | None:
    """The row's risks; none of them if it is safe, None if it is unsafe and nobody said how."""
    if not unsafe:
        return frozenset()
    found = {from_set(source, name) for name in row.get("categories") or ()}
    return frozenset(risk for risk in found if risk in INDEX) or None


def targets(target: str, turns: list[tuple[str, str]]) -> range | list[int]:
    """The indices of the turns that a label is about."""
    if target == "conversation":
        return range(len(turns))
    if target == "text":
        return [len(turns) - 1]
    return [max(index for index, (role, _) in enumerate(turns) if role == target)]


def pick(rows: Iterable[Example], caps: tuple[int, int], seed: int) -> list[Example]:
    """At most `caps` (unsafe, safe) of a set's rows, at random but the same for a seed; a text is taken once."""
    unique = list({(row.passage.text, row.passage.history[-1:]): row for row in rows}.values())
    random.Random(seed).shuffle(unique)
    unsafe, safe = [row for row in unique if row.unsafe], [row for row in unique if not row.unsafe]
    return unsafe[: caps[0]] + safe[: caps[1]]


def training_examples(data: Path, seed: int, scale: float = 1.0) -> tuple[list[Example], list[Example]]:
    """(to learn from, held out), over all sets of `data`/train, shuffled by the seed; `scale` multiplies the caps."""
    picked: list[Example] = []
    for name, (unsafe, safe) in CAPS.items():
        picked += pick(read_set(data / "train" / name), (round(unsafe * scale), round(safe * scale)), seed)
    random.Random(seed).shuffle(picked)
    return [row for row in picked if not row.held_out], [row for row in picked if row.held_out]
