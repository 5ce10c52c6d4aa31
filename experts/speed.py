"""How fast an expert is: all texts in batches of a token budget, and one text at a time."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from experts.base import Passage
from experts.batching import plan
from experts.progress import Say
from experts.served import OnnxExpert

MILLISECONDS: Final = 1000.0


@dataclass(frozen=True, slots=True)
class Speed:
    """Texts a second in batches of at most `budget` padded tokens, tokenising included; median and 99th percentile of
    the milliseconds that such a batch takes in the model, and that one text alone takes.
    """

    texts: int
    budget: int
    texts_per_second: float
    batches: int
    batch_p50: float
    batch_p99: float
    alone_p50: float
    alone_p99: float


def measure(
    expert: OnnxExpert[Any], passages: Sequence[Passage], seconds: float, budget: int | None, say: Say
) -> Speed:
    """Time the expert for about so many seconds, half of them in batches; `budget` None means its own."""
    room = budget or expert.trunk.budget
    one_pass(expert, passages, room)  # what a new shape costs is not measured
    passes, taken = 0, list[float]()
    start = time.perf_counter()
    while not passes or time.perf_counter() - start < seconds / 2:
        taken += one_pass(expert, passages, room)
        passes += 1
        say(f"{expert.id} in batches", len(passages), 0)
    rate = passes * len(passages) / (time.perf_counter() - start)
    alone = singles(expert, passages, seconds / 2, say)
    times = [float(seconds) for each in (taken, alone) for seconds in np.percentile(each, (50, 99)) * MILLISECONDS]
    return Speed(len(passages), room, rate, len(taken) // passes, *times)


def one_pass(expert: OnnxExpert[Any], passages: Sequence[Passage], budget: int) -> list[float]:
    """Reads and scores all passages once; the seconds of each batch."""
    rows = [row for row in expert.trunk.encode(passages) if len(row)]
    taken = []
    for batch in plan([len(row) for row in rows], budget):
        start = time.perf_counter()
        expert.conclude(expert.trunk.run([rows[index] for index in batch]))
        taken.append(time.perf_counter() - start)
    return taken


def singles(expert: OnnxExpert[Any], passages: Sequence[Passage], seconds: float, say: Say) -> list[float]:
    """The seconds that each passage takes alone, one after the other until the time is over."""
    taken = list[float]()
    begun = time.perf_counter()
    while not taken or time.perf_counter() - begun < seconds:
        start = time.perf_counter()
        expert.advise([passages[len(taken) % len(passages)]])
        taken.append(time.perf_counter() - start)
        say(f"{expert.id} alone", 1, 0)
    return taken
