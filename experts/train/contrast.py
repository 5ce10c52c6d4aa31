"""Prompts written for this project: pairs that look alike, of which one is harmless and the other is not.

A classifier learns words ("kill", "shoot", "steal") and styles (a short order, a role to play) before it learns what is
asked for. Here the words and styles are the same on both sides, and only the target differs. Every form and filler, in
`contrast.toml`, is our own; asks inside a frame come from the labelled sets.
"""

from __future__ import annotations

import random
import tomllib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib import resources
from typing import Any, Final


@dataclass(frozen=True, slots=True)
class Ask:
    """A prompt, whether it is unsafe, and the risks of `experts.taxonomy` that it then has, with commas between."""

    text: str
    unsafe: bool
    risk: str = ""


_FORMS: Final[dict[str, Any]] = tomllib.loads((resources.files(__package__) / "contrast.toml").read_text("utf-8"))
# What may be said to an unsafe ask.
REFUSALS: Final[tuple[str, ...]] = tuple(_FORMS["refusals"])


def contrasts() -> Iterator[Ask]:
    """Every form with every filler."""
    for contrast in _FORMS["contrast"]:
        for form in contrast["forms"]:
            for filler in contrast["harmless"]:
                yield Ask(form.format(filler), False)
            for filler in contrast["harmful"]:
                yield Ask(form.format(filler), True, contrast["risk"])


def tasks(count: int, chance: random.Random) -> Iterator[Ask]:
    """Harmless orders in the style of the sets of harmful ones: a product, a place, an audience."""
    for _ in range(count):
        form = chance.choice(_FORMS["tasks"])
        topic, place = chance.choice(_FORMS["topics"]), chance.choice(_FORMS["places"])
        yield Ask(form.format(t=topic, p=place, w=chance.choice(_FORMS["audiences"])), False)


def framed(asks: Sequence[Ask], count: int, chance: random.Random) -> Iterator[Ask]:
    """Asks inside the frames of jailbreaks: the ask decides, not the frame."""
    for ask in chance.sample(list(asks), min(count, len(asks))):
        text = chance.choice(_FORMS["frames"]).format(n=chance.choice(_FORMS["names"]), a=ask.text)
        yield Ask(text, ask.unsafe, ask.risk)
