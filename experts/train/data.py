"""Reads the labelled sets and picks the rows to learn from.

A set is a folder with `data.jsonl.gz`, one object a line: `turns` (list of {role, text}), `target` (what the label is
about: the last `user` or `assistant` turn, the single `text`, or the whole `conversation`), `unsafe` (1, 0 or null)
and free `meta`.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import random
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from experts.base import Passage
from experts.errors import TrainingError

# One row in ten is held out for calibration and validation.
HELD_OUT: Final = 10

# Other speakers and unknown ones stand where a worker sees users.
ROLES: Final[Mapping[str, str]] = {"user": "user", "assistant": "assistant", "system": "system"}

# How many rows are taken of each set, (unsafe, safe). A set that is easy, large or has one class only teaches which set
# a row is from instead of what is unsafe, so it is capped, and sets with both classes give about as many of each.
CAPS: Final[Mapping[str, tuple[int, int]]] = {
    "aart_prompts": (700, 0),
    "aegis1_val_test": (400, 400),
    "aegis2_unsafe_prompts900": (900, 0),
    "benign_topical_chat": (0, 1500),
    "benign_wildchat300": (0, 300),
    "catqa": (400, 0),
    "convabuse": (520, 800),
    "davidson_hate_offensive": (1000, 1000),
    "diasafety": (2000, 2000),
    "edos_sexism": (1000, 1000),
    "gptfuzz_labelled_replies": (1000, 1000),
    "guardreasoner_train_sample5k": (1900, 2000),
    "jailbreak_llms_inthewild": (300, 0),
    "jailjudge_mini": (320, 500),
    "surge_toxicity": (510, 500),
    "wikipedia_context_toxicity": (210, 1000),
    "wildjailbreak_adv_harmful2000": (500, 0),
}


@dataclass(frozen=True, slots=True)
class Example:
    """A passage, whether it is unsafe, the set that it is from, and the group that must not be split (a question, a
    conversation).
    """

    passage: Passage
    unsafe: bool
    source: str
    group: str

    @property
    def held_out(self) -> bool:
        """Whether this row is for calibration and validation. It depends on the group alone, so it is the same in
        every run.
        """
        digest = hashlib.sha256(f"{self.source}\n{self.group}".encode("utf-8", "surrogatepass")).digest()
        return int.from_bytes(digest[:8]) % HELD_OUT == 0


def read_set(folder: Path) -> Iterator[Example]:
    """The labelled rows of a set, in file order; rows without a binary label (Needs Caution) are left out.

    TrainingError, naming file and line, on a row that is not as described above.
    """
    path = folder / "data.jsonl.gz"
    if not path.is_file():
        raise TrainingError(f"{path} is not there: --data names the folder that holds train/ and dev/")
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        for number, line in enumerate(lines, 1):
            try:
                yield from examples(json.loads(line), folder.name)
            except (KeyError, IndexError, TypeError, ValueError) as error:
                raise TrainingError(f"{path}, line {number}: not a labelled row ({type(error).__name__})") from error


def examples(row: Mapping[str, Any], source: str) -> Iterator[Example]:
    """The passages that a row's label is about: one, or every turn of a conversation labelled as a whole."""
    if row["unsafe"] is None:
        return
    turns = [(ROLES.get(turn["role"], "user"), str(turn["text"])) for turn in row["turns"]]
    group = str((row.get("meta") or {}).get("question_index", turns[0][1].casefold()))
    for index in targets(row["target"], turns):
        passage = Passage(*turns[index], history=tuple(turns[:index]))
        if passage.text.strip():
            yield Example(passage, bool(row["unsafe"]), source, group)


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
