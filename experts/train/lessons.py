"""What the heads learn of each row: one target a column and how much it counts, for every head at once."""

from __future__ import annotations

import math
import random
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

from experts.base import Passage
from experts.taxonomy import INDEX, RISKS
from experts.train.contrast import REFUSALS, Ask, contrasts, framed, tasks
from experts.train.data import Example, training_examples

# The columns of every array of targets: a head each, then a column a risk.
HEADS: Final = ("permissive", "defensive", "replies", "jailbreak")
COLUMNS: Final = len(HEADS) + len(RISKS)
PERMISSIVE, DEFENSIVE, REPLIES, JAILBREAK = range(len(HEADS))

# Prompts to a language model; the head for jailbreaks learns from nothing else, and most from those that are disguised.
PROMPTS: Final[Mapping[str, float]] = {
    "aart_prompts": 0.3,
    "aegis1_val_test": 0.5,
    "aegis2_unsafe_prompts900": 0.3,
    "benign_wildchat300": 1.0,
    "catqa": 0.3,
    "contrast": 0.5,
    "framed": 1.0,
    "guardreasoner_train_sample5k": 1.0,
    "jailbreak_llms_inthewild": 1.0,
    "tasks": 0.5,
    "wildjailbreak_adv_harmful2000": 1.0,
}
# How often a set is read in an epoch: more where it is closest to what is moderated, and small.
REPEATS: Final[Mapping[str, int]] = {"aegis1_val_test": 2, "benign_wildchat300": 2}
# A risk that a row's makers did not name is probably, not surely, absent: most sets name one risk a row.
UNNAMED: Final = 0.3
# How many prompts of our own there are: orders, frames (as many safe as unsafe), refusals.
TASKS: Final = 1400
FRAMED: Final = 700
REFUSED: Final = 600
# One row in twenty is learned with disguised spelling as well.
DISGUISED: Final = 0.05
LEET: Final = str.maketrans("aeiost", "@31057")


@dataclass(frozen=True, slots=True)
class Lesson:
    """A passage with float32[COLUMNS] targets and float32[COLUMNS] weights; weight 0: nothing is known."""

    passage: Passage
    targets: npt.NDArray[np.float32]
    weights: npt.NDArray[np.float32]


def lesson(row: Example) -> Lesson:
    """What an example teaches each head."""
    targets, weights = np.zeros(COLUMNS, np.float32), np.zeros(COLUMNS, np.float32)
    for column, probability in ((PERMISSIVE, row.permissive), (DEFENSIVE, row.defensive)):
        if not math.isnan(probability):
            targets[column], weights[column] = probability, 1.0
    targets[[REPLIES, JAILBREAK]] = row.defensive if math.isnan(row.permissive) else row.permissive
    weights[REPLIES] = row.passage.role == "assistant"
    weights[JAILBREAK] = PROMPTS.get(row.source, 0.0)
    if row.risks is not None:
        weights[len(HEADS) :] = UNNAMED if row.risks else 1.0
        for risk in row.risks:
            targets[len(HEADS) + INDEX[risk]] = weights[len(HEADS) + INDEX[risk]] = 1.0
    return Lesson(row.passage, targets, weights)


def lessons(data: Path, seed: int, scale: float = 1.0) -> tuple[list[Lesson], list[Example]]:
    """(what is learned in an epoch, the examples held out); `scale` multiplies the size of everything."""
    learned, held_out = training_examples(data, seed, scale)
    chance = random.Random(f"{seed}/lessons")
    own = list(own_examples(learned, scale, chance))
    rows = [row for row in learned for _ in range(REPEATS.get(row.source, 1))] + own
    rows += [disguised(row, chance) for row in chance.sample(rows, round(DISGUISED * len(rows)))]
    chance.shuffle(rows)
    return [lesson(row) for row in rows], held_out


def own_examples(learned: Sequence[Example], scale: float, chance: random.Random) -> Iterator[Example]:
    """The prompts of `experts.train.contrast`, framed asks, and refusals of unsafe asks."""
    contrasting = list(contrasts())
    if scale < 1:
        contrasting = chance.sample(contrasting, round(scale * len(contrasting)))
    orders = list(tasks(round(scale * TASKS), chance))
    harmful = [ask for row in learned if row.source in ("aart_prompts", "catqa", "aegis2_unsafe_prompts900")
               for ask in [Ask(row.passage.text, True, ",".join(sorted(row.risks or ())))]]  # fmt: skip
    yield from written(contrasting, "contrast")
    yield from written(orders, "tasks")
    for asks in ([ask for ask in contrasting if not ask.unsafe] + orders, harmful):
        yield from written(framed(asks, round(scale * FRAMED), chance), "framed")
    for ask in chance.sample(harmful, min(len(harmful), round(scale * REFUSED))):
        reply = Passage("assistant", chance.choice(REFUSALS), (("user", ask.text),))
        yield Example(reply, 0.0, 0.0, frozenset(), "refusals", ask.text)


def written(asks: Iterable[Ask], source: str) -> Iterator[Example]:
    """Asks as examples."""
    for ask in asks:
        risks = frozenset(filter(None, ask.risk.split(","))) if ask.unsafe else frozenset()
        known = risks if risks or not ask.unsafe else None
        yield Example(Passage("user", ask.text), float(ask.unsafe), float(ask.unsafe), known, source, ask.text)


def disguised(row: Example, chance: random.Random) -> Example:
    """The row with the spelling of somebody who wants to slip through: digits for letters, split or joined words."""
    words = row.passage.text.split(" ")
    for index in chance.sample(range(len(words)), max(1, len(words) // 4)):
        word = words[index]
        change = chance.randrange(4)
        if change == 0:
            words[index] = word.translate(LEET)
        elif change == 1 and len(word) > 3:
            words[index] = " ".join(word)
        elif change == 2 and len(word) > 3:
            at = chance.randrange(1, len(word) - 1)
            words[index] = word[: at - 1] + word[at] + word[at - 1] + word[at + 1 :]
        else:
            words[index] = word + word[-1:] * 2
    passage = Passage(row.passage.role, " ".join(words), row.passage.history)
    return Example(passage, row.permissive, row.defensive, row.risks, row.source, row.group)
